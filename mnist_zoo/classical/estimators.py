"""The classical models: estimators of scikit-learn by name, with the options that the command line offers.

All get the pixels as networks do, flattened: float32 ``(N, C * H * W)``. Defaults are scikit-learn's unless a docstring
says otherwise; those were chosen on validation images of MNIST.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mnist_zoo.errors import InputError
from mnist_zoo.registry import Registry

ESTIMATORS: Registry[Any] = Registry("classical model", ("seed", "threads"))


def create_estimator(name: str, *, seed: int = 0, threads: int = 1, **options: Any) -> ClassifierMixin:
    """Return an estimator of scikit-learn that is not fitted yet.

    Args:
        name: one of `list_estimators`.
        seed: of what is drawn while it is fitted.
        threads: used by estimators that fit their parts in parallel. It does not change the result.
        **options: those of the model, such as ``n_neighbors=3`` for ``knn``.

    Raises:
        InputError: for an unknown name or option.

    Example:
        >>> from mnist_zoo.classical import create_estimator
        >>> create_estimator("knn", n_neighbors=5)
        KNeighborsClassifier(algorithm='brute')
    """
    ESTIMATORS.check_options(name, options)
    given = {"seed": seed, "threads": threads}
    taken = {key: value for key, value in given.items() if key in ESTIMATORS.parameters(name)}
    try:
        return ESTIMATORS[name](**taken, **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"classical model '{name}' cannot be built: {error}") from error


def list_estimators() -> list[str]:
    """Return the names of all classical models, sorted.

    Example:
        >>> from mnist_zoo.classical import list_estimators
        >>> list_estimators()[:3]
        ['cnn_svm', 'decision_tree', 'gradient_boosting']
    """
    return list(ESTIMATORS)


def estimator_options(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a configuration's ``model`` that the estimator itself takes.

    ``cnn_svm`` has two more, which are of its network.
    """
    own = ESTIMATORS.parameters(chosen["name"])
    return {key: value for key, value in chosen.items() if key in own}


@ESTIMATORS.register("knn")
def knn(n_neighbors: int = 3, weights: str = "uniform", p: int = 2) -> ClassifierMixin:
    """K nearest neighbours (Cover & Hart 1967) among all training images; ``p`` is that of the Minkowski distance.

    3 neighbours instead of scikit-learn's 5. Brute force: in 784 dimensions trees are slower.
    """
    return KNeighborsClassifier(n_neighbors, weights=weights, p=p, algorithm="brute")


@ESTIMATORS.register("svm_rbf")
def svm_rbf(C: float = 10.0, gamma: float | str = "scale") -> ClassifierMixin:
    """Support vector machine with a Gaussian kernel (Cortes & Vapnik 1995), one against one.

    C is 10 instead of 1. Ties between votes are broken by the distances to the borders.
    """
    return SVC(C=C, gamma=gamma, cache_size=1000, break_ties=True)


@ESTIMATORS.register("linear_svm")
def linear_svm(C: float = 1e-3, max_iter: int = 1000, seed: int = 0) -> ClassifierMixin:
    """Linear support vector machine, one against all (Fan et al. 2008). C is 1e-3 instead of 1."""
    return LinearSVC(C=C, max_iter=max_iter, random_state=seed)


@ESTIMATORS.register("logistic")
def logistic(C: float = 1e-2, max_iter: int = 200) -> ClassifierMixin:
    """Multinomial logistic regression with an L2 penalty, by L-BFGS. C is 1e-2 instead of 1, max_iter 200 for 100."""
    return LogisticRegression(C=C, max_iter=max_iter)


@ESTIMATORS.register("random_forest")
def random_forest(
    n_estimators: int = 100,
    max_depth: int | None = None,
    max_features: float | str = "sqrt",
    min_samples_leaf: int = 1,
    seed: int = 0,
    threads: int = 1,
) -> ClassifierMixin:
    """Random forest (Breiman 2001). ``max_features`` is a share of the pixels: scikit-learn takes 1 for one pixel."""
    return RandomForestClassifier(
        n_estimators,
        max_depth=max_depth,
        max_features=max_features if isinstance(max_features, str) else float(max_features),
        min_samples_leaf=min_samples_leaf,
        random_state=seed,
        n_jobs=threads,
    )


@ESTIMATORS.register("naive_bayes")
def naive_bayes(var_smoothing: float = 0.1) -> ClassifierMixin:
    """Gaussian naive Bayes. ``var_smoothing`` is 0.1 instead of 1e-9: pixels at the border have no variance."""
    return GaussianNB(var_smoothing=var_smoothing)


@ESTIMATORS.register("decision_tree")
def decision_tree(max_depth: int | None = None, min_samples_leaf: int = 1, seed: int = 0) -> ClassifierMixin:
    """One decision tree (Breiman et al. 1984), grown until its leaves are pure."""
    return DecisionTreeClassifier(max_depth=max_depth, min_samples_leaf=min_samples_leaf, random_state=seed)


@ESTIMATORS.register("gradient_boosting")
def gradient_boosting(
    max_iter: int = 100, learning_rate: float = 0.1, max_leaf_nodes: int = 31, seed: int = 0
) -> ClassifierMixin:
    """Gradient boosting on histograms of the pixels (as LightGBM, Ke et al. 2017), without early stopping.

    scikit-learn's early stopping would take a tenth of the training images for a validation of its own.
    """
    return HistGradientBoostingClassifier(
        max_iter=max_iter,
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        early_stopping=False,
        random_state=seed,
    )


@ESTIMATORS.register("cnn_svm")
def cnn_svm(C: float = 1.0, gamma: float | str = "scale") -> ClassifierMixin:
    """The features of a network, each scaled to variance 1, into a support vector machine with a Gaussian kernel.

    After Ahlawat & Choudhary 2020: an SVM in place of a CNN's last layer.
    """
    return make_pipeline(StandardScaler(), SVC(C=C, gamma=gamma, cache_size=1000, break_ties=True))
