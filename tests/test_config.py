"""The files of conf/ agree with the library, and the values of settings are checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mnist_zoo import LitClassifier, create_model, list_models
from mnist_zoo.data.augment import PRESETS, Augment
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import CONFIG_DIR
from mnist_zoo.optim import OPTIMIZERS, SCHEDULERS, build_optimizer
from mnist_zoo.speed.names import OPTIMISATIONS
from mnist_zoo.training.settings import CHECKS, check, check_value


def group(name: str) -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / name).glob("*.yaml"))


def test_the_defaults_are_those_the_readme_promises(config):
    cfg = config()
    assert (cfg["model"]["name"], cfg["data"]["name"]) == ("cnn", "mnist")
    assert (cfg["lr"], cfg["batch_size"], cfg["epochs"], cfg["seed"]) == (1e-3, 64, 10, 0)
    check(cfg)


def test_every_model_has_its_config():
    assert set(group("model")) - {"custom", "cnn_2dense_augmented"} == set(list_models())


@pytest.mark.parametrize("name", list_models())
def test_a_models_config_builds_what_its_name_builds(config, name):
    options = config(f"model={name}")["model"]
    assert options.pop("name") == name
    assert str(create_model(name, **options)) == str(create_model(name))
    assert getattr(create_model(name, **options), "l2", None) == getattr(create_model(name), "l2", None)


def test_the_augmented_preset_is_cnn_2dense_with_affine_augmentation(config):
    cfg = config("model=cnn_2dense_augmented")
    assert cfg["model"]["name"] == "cnn_2dense"
    assert Augment(**cfg["augment"]) == Augment(**PRESETS["affine"])
    assert Augment(**config("model=cnn_2dense_augmented", "augment=none")["augment"]) == Augment()


@pytest.mark.parametrize("name", group("augment"))
def test_an_augmentation_is_its_preset(config, name):
    assert Augment(**config(f"augment={name}")["augment"]) == Augment(**PRESETS[name])


def test_every_optimizer_and_schedule_has_its_config():
    assert set(group("optimizer")) == set(OPTIMIZERS)
    assert set(group("scheduler")) == set(SCHEDULERS)


@pytest.mark.parametrize("name", group("optimizer"))
def test_an_optimizers_config_builds_it(config, name):
    choice = config(f"optimizer={name}")["optimizer"]
    optimizer = build_optimizer(choice, create_model("mlp").parameters(), lr=0.1)
    for option, value in choice.items():
        got = optimizer.defaults.get(option, value)
        assert (list(got) if isinstance(got, tuple) else got) == value


def test_every_checked_setting_exists(config):
    cfg = config()
    for key in CHECKS:
        node = cfg
        for part in key.split("."):
            node = node[part]


def test_every_file_starts_with_a_comment():
    for path in Path(CONFIG_DIR).rglob("*.yaml"):
        assert path.read_text().startswith("# "), path
        yaml.safe_load(path.read_text())


def test_a_config_is_a_classifiers_hyper_parameters(config):
    cfg = config("model=cnn_dropout", "optimizer=rmsprop", "scheduler=plateau")
    module = LitClassifier(cfg["model"], lr=cfg["lr"], optimizer=cfg["optimizer"], scheduler=cfg["scheduler"])
    assert {"image_size": None} | module.hparams["model"] == cfg["model"] and module.hparams["optimizer"] == cfg[
        "optimizer"
    ]


def test_the_speed_group_is_all_or_nothing(config):
    assert config()["speed"] == config("speed=full")["speed"] == {"off": []}
    assert config("speed=none")["speed"] == {"off": ["all"]}
    check(config("speed=none"))
    check(config("speed.off=[fused,patches]"))
    check_value("speed.off", list(OPTIMISATIONS))


def test_a_configuration_of_version_0_1_0_has_no_speed(config):
    cfg = config()
    del cfg["speed"]
    check(cfg)
    del cfg["lr"]
    with pytest.raises(InputError, match="unknown setting 'lr'"):
        check(cfg)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lr", 0, "lr=0: it must be above 0"),
        ("lr", "abc", "lr=abc: it must be a number"),
        ("lr", float("nan"), "lr=nan: it must be a number"),
        ("lr", True, "lr=True: it must be a number"),
        ("batch_size", 0, "batch_size=0: it must be 1 or more"),
        ("batch_size", 2.5, "batch_size=2.5: it must be an integer"),
        ("epochs", 0, "epochs=0: it must be 1 or more"),
        ("seed", -1, "seed=-1: it must be 0 or more"),
        ("seed", 2**32, "seed=4294967296: it must be 4.29497e+09 or less"),
        ("grad_clip", 0, "grad_clip=0: it must be above 0"),
        ("label_smoothing", 1, "label_smoothing=1: it must be 0.99 or less"),
        ("ema", 1.5, "ema=1.5: it must be 0.99999 or less"),
        ("monitor", None, "monitor=None: it must be one of val_acc, val_loss, train_acc, train_loss"),
        ("progress", "dots", "progress=dots: it must be one of auto, bar, lines, none"),
        ("on_change", "ask", "on_change=ask: it must be one of stop, rerun, keep"),
        ("early_stop.monitor", "acc", "early_stop.monitor=acc: it must be one of val_acc"),
        ("early_stop.patience", -1, "early_stop.patience=-1: it must be 0 or more"),
        ("early_stop.min_delta", "x", "early_stop.min_delta=x: it must be a number"),
        ("trainer.matmul_precision", "low", "trainer.matmul_precision=low: it must be one of highest, high, medium"),
        ("data.val_size", 1.5, "data.val_size=1.5: a fraction must be below 1"),
        ("data.val_size", 0, "data.val_size=0: it must be above 0"),
        ("data.train_fraction", 0, "data.train_fraction=0: it must be above 0"),
        ("speed.off", "fused", "speed.off=fused: it must be a list, such as [pool_first,channels_last]"),
        ("speed.off", None, "speed.off=None: it must be a list"),
        ("speed.off", ["fused", "x"], "speed.off=['fused', 'x']: unknown optimisation 'x'; known: all, channels_last"),
    ],
)
def test_an_invalid_value_is_named(key, value, message):
    with pytest.raises(InputError, match=re.escape(message)):
        check_value(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ema", None),
        ("grad_clip", None),
        ("early_stop.monitor", None),
        ("lr", 2e-4),
        ("data.val_size", 5000),
        ("speed.off", ["all", "fused"]),
        ("a setting without a check", "y"),
    ],
)
def test_a_valid_value_passes(key, value):
    check_value(key, value)
