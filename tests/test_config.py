"""conf/ and the library say the same."""

from pathlib import Path

import pytest
import yaml

from mnist_zoo import LitClassifier, create_model, list_models
from mnist_zoo.data.augment import PRESETS, Augment
from mnist_zoo.hydra_app.commandline import CONFIG_DIR
from mnist_zoo.optim import OPTIMIZERS, SCHEDULERS, build_optimizer
from mnist_zoo.runs.identity import identity
from mnist_zoo.training.settings import CHECKS, check


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
def test_augmentations_are_the_presets(config, name):
    assert Augment(**config(f"augment={name}")["augment"]) == Augment(**PRESETS[name])


def test_optimizers_and_schedules_are_all_there():
    assert set(group("optimizer")) == set(OPTIMIZERS)
    assert set(group("scheduler")) == set(SCHEDULERS)


@pytest.mark.parametrize("name", group("optimizer"))
def test_an_optimizers_config_is_understood(config, name):
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


def test_group_files_say_what_they_are():
    for path in Path(CONFIG_DIR).rglob("*.yaml"):
        assert path.read_text().startswith("# "), path
        yaml.safe_load(path.read_text())


def test_a_config_is_a_classifiers_hyper_parameters(config):
    cfg = config("model=cnn_dropout", "optimizer=rmsprop", "scheduler=plateau")
    module = LitClassifier(cfg["model"], lr=cfg["lr"], optimizer=cfg["optimizer"], scheduler=cfg["scheduler"])
    assert module.hparams["model"] == cfg["model"] and module.hparams["optimizer"] == cfg["optimizer"]


class TestIdentity:
    def test_what_cannot_change_the_result_does_not_count(self, config):
        plain = identity(config(), "data")
        for override in ("output_dir=x", "logger=none", "progress=bar", "sweep=s", "data.root=elsewhere", "debug=true"):
            assert identity(config(override), "data") == plain, override

    def test_what_can_does(self, config):
        overrides = ["lr=0.1", "model=mlp", "model.dense=96", "seed=1", "epochs=11", "augment=affine", "ema=0.9"]
        identities = {identity(config(override), "data") for override in overrides}
        identities |= {identity(config(), "data"), identity(config(), "other data")}
        assert len(identities) == len(overrides) + 2
