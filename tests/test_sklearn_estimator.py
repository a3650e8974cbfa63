"""`ZooClassifier` is an estimator of scikit-learn: it passes scikit-learn's own checks, and works in its tools."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from mnist_zoo.sklearn import ZooClassifier

# scikit-learn's checks use features of any number: a row that fills no square is completed, which `mlp` takes. None is
# expected to fail. scikit-learn itself skips check_array_api_input unless SCIPY_ARRAY_API is set: X is copied to NumPy.
CHECKED = ZooClassifier("mlp", epochs=15, lr=0.01, batch_size=16)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*SCIPY_ARRAY_API")
@parametrize_with_checks([CHECKED])
def test_the_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """120 images of 8x8, flattened: a bright row whose height is the class, which is a text."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = rng.integers(0, 60, (120, 8, 8))
    images[np.arange(120), 2 * labels + 1] += 150
    return images.reshape(120, 64).astype(np.float64), np.array(["one", "two", "three"])[labels]


def small(**changes) -> ZooClassifier:
    return ZooClassifier(**{"model": "mlp", "epochs": 3, "lr": 0.01, "batch_size": 16, "random_state": 0} | changes)


def test_it_learns_and_gives_probabilities_in_the_order_of_its_classes(digits):
    X, y = digits
    fitted = small().fit(X, y)
    probabilities = fitted.predict_proba(X)
    assert fitted.classes_.tolist() == ["one", "three", "two"] and fitted.score(X, y) > 0.95
    assert probabilities.shape == (120, 3) and np.allclose(probabilities.sum(1), 1)
    assert np.array_equal(fitted.classes_[probabilities.argmax(1)], fitted.predict(X))
    assert fitted.image_shape_ == (1, 8, 8) and isinstance(fitted.network_, torch.nn.Module)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), probabilities)


def test_the_seed_decides_and_the_random_state_of_torch_stays(digits):
    X, y = digits
    state = torch.get_rng_state()
    one, same, other = (small(random_state=seed).fit(X, y).predict_proba(X) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_works_in_the_tools_of_scikit_learn(digits):
    X, y = digits
    assert cross_val_score(small(), X, y, cv=2).min() > 0.9
    pipeline = make_pipeline(PCA(10, random_state=0), small())  # 10 columns: completed to 4x4
    search = GridSearchCV(pipeline, {"zooclassifier__lr": [1e-6, 0.01]}, cv=2).fit(X, y)
    assert search.best_params_ == {"zooclassifier__lr": 0.01} and search.best_score_ > 0.8
    assert clone(small(epochs=7)).get_params()["epochs"] == 7


def test_a_cnn_takes_images_of_the_shape_that_is_named():
    X, y = np.random.default_rng(0).random((12, 3 * 12 * 12)), np.arange(12) % 2
    fitted = ZooClassifier({"name": "cnn", "dense": 4}, epochs=1, image_shape=(3, 12, 12), random_state=0).fit(X, y)
    assert fitted.predict(X).shape == (12,) and fitted.network_(torch.zeros(1, 3, 12, 12)).shape == (1, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "knn"}, "'knn' is a classical model"),
        ({"model": "nosuch"}, "unknown model 'nosuch'"),
        ({"epochs": 0}, "epochs=0: it must be an integer of 1 or more"),
        ({"batch_size": 2.5}, "batch_size=2.5: it must be an integer"),
        ({"lr": -1}, "lr=-1: the learning rate must be above 0"),
        ({"image_shape": (8, 8)}, r"image_shape=\(8, 8\): it must be \(channels, height, width\)"),
        ({"image_shape": (1, -8, -8)}, r"image_shape=\(1, -8, -8\): it must be"),
        ({"image_shape": (1, 7, 7)}, r"image_shape=\(1, 7, 7\) has 49 values, and X has 64 columns"),
        ({"model": "lenet5", "image_shape": (1, 4, 16)}, "a 4x16 image has no pixels left in LeNet-5"),
    ],
)
def test_invalid_arguments_are_one_line(digits, changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes).fit(*digits)


def test_weights_that_are_not_finite_are_an_error(digits):
    with pytest.raises(ArithmeticError, match=r"training diverged: .* use an lr below 1e"):
        small(lr=1e30).fit(*digits)
