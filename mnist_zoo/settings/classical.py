"""The settings of classical models, and those of networks that they do not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnist_zoo.errors import InputError
from mnist_zoo.names import CLASSICAL, ON_PIXELS
from mnist_zoo.settings.checks import Check, either, integer, number, one_of, optional, text
from mnist_zoo.settings.groups import MOST_EPOCHS, MOST_IMAGES, NamedGroup

_C = {"C": number(above=0, high=1_000_000)}
_RBF = {
    **_C,
    "gamma": either(
        number(above=0, high=1_000_000),
        one_of("scale", "auto"),
        otherwise="it must be a number above 0 (at most 1,000,000), scale or auto",
    ),
}
_DEPTH = {"max_depth": optional(integer(1, 10_000)), "min_samples_leaf": integer(1, MOST_IMAGES)}


def _network(value: object) -> str | None:
    """Check that a value can name a network; plug-ins register further ones."""
    return "it must be a network, not a classical model" if value in CLASSICAL else text(value)


PIXEL_MODELS = NamedGroup(
    "classical model",
    {
        "decision_tree": _DEPTH,
        "gradient_boosting": {
            "max_iter": integer(1, MOST_EPOCHS),
            "learning_rate": number(above=0, high=100),
            "max_leaf_nodes": integer(2, MOST_IMAGES),
        },
        "knn": {
            "n_neighbors": integer(1, MOST_IMAGES),
            "weights": one_of("uniform", "distance"),
            "p": integer(1, 100),
        },
        "linear_svm": {**_C, "max_iter": integer(1, MOST_EPOCHS)},
        "logistic": {**_C, "max_iter": integer(1, MOST_EPOCHS)},
        "naive_bayes": {"var_smoothing": number(0, 1000)},
        "random_forest": {
            "n_estimators": integer(1, 100_000),
            "max_features": either(
                number(above=0, high=1.0),
                one_of("sqrt", "log2"),
                otherwise="it must be sqrt, log2, or a share of the pixels above 0 and at most 1.0",
            ),
            **_DEPTH,
        },
        "svm_rbf": _RBF,
    },
)
# Fitted on the features of a network: it has all settings of the network's training, too.
FEATURE_MODELS: dict[str, dict[str, Check]] = {"cnn_svm": {"network": _network, **_RBF}}

# Settings and groups that a model without epochs and gradients does not have. conf/classical.yaml removes them.
WITHOUT = (
    *("lr", "batch_size", "epochs", "label_smoothing", "grad_clip", "ema", "pretrained", "monitor", "early_stop"),
    "callbacks",
    *("augment", "adversary", "optimizer", "scheduler", "loss", "trainer", "speed", "logger"),
)


def is_classical(cfg: Mapping[str, Any]) -> bool:
    """Return whether the model of a configuration is classical: fitted on pixels, or on the features of a network."""
    return _name(cfg) in CLASSICAL


def without(cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings that the model of a configuration does not have; none for a network."""
    return WITHOUT if _name(cfg) in ON_PIXELS else ()


def _name(cfg: Mapping[str, Any]) -> object:
    model = cfg.get("model")
    return model.get("name") if isinstance(model, Mapping) else None


def require_unset(name: str, key: str, value: object) -> None:
    """Raise InputError if a classical model was given a setting that it does not have. ``logger=none`` changes nothing.

    Args:
        name: of the model.
        key: of the setting.
        value: in the configuration, where None stands for a setting that is not there.
    """
    chosen = value.get("name") if isinstance(value, Mapping) else value
    if value is None or (key == "logger" and chosen == "none"):
        return
    shown = f"{key}={chosen}" if isinstance(chosen, (str, int, float)) else key
    raise refusal(name, shown)


def refusal(name: str, word: str) -> InputError:
    """Return the error for a setting that a classical model does not have; `word` is the setting, or its override."""
    key = word.partition("=")[0]
    return InputError(f"{word}: {name} is fitted once, on the CPU, without epochs and gradients: leave {key} out")
