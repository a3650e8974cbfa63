"""The files of conf/ agree with the library, and the values of settings are checked."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl
import yaml
from omegaconf import OmegaConf
from torch.optim import lr_scheduler

from mnist_zoo import LitClassifier, adversary, create_model, list_models
from mnist_zoo.classical import list_estimators
from mnist_zoo.classical.estimators import ESTIMATORS
from mnist_zoo.data import list_datasets
from mnist_zoo.data.augment import PRESETS, Augment
from mnist_zoo.data.augmentations import AUGMENTATIONS
from mnist_zoo.data.sources import source_of
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.checked import check_overrides
from mnist_zoo.hydra_app.compose import CONFIG_DIR, compose_config
from mnist_zoo.hydra_app.config_dir import groups
from mnist_zoo.hydra_app.names import register_resolvers
from mnist_zoo.hydra_app.overrides import parse
from mnist_zoo.losses import LOSSES
from mnist_zoo.models import init, layers
from mnist_zoo.models.registry import parameters_of
from mnist_zoo.names import CLASSICAL, ON_FEATURES, ON_PIXELS
from mnist_zoo.optim import OPTIMIZERS, SCHEDULERS, build_optimizer
from mnist_zoo.settings import check, check_value, table
from mnist_zoo.settings.classical import FEATURE_MODELS, PIXEL_MODELS, WITHOUT
from mnist_zoo.settings.configuration import checked_settings
from mnist_zoo.speed.names import OPTIMISATIONS


def group(name: str) -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / name).glob("*.yaml"))


def test_the_defaults_are_those_the_readme_promises(config):
    cfg = config()
    assert (cfg["model"]["name"], cfg["data"]["name"]) == ("cnn", "mnist")
    assert (cfg["lr"], cfg["batch_size"], cfg["epochs"], cfg["seed"]) == (1e-3, 64, 10, 0)
    check(cfg)


def test_every_model_has_its_config():
    presets = {"cnn_2dense_augmented", "cnn_4"}  # of networks with a file of their own
    assert set(group("model")) - {"custom", *presets} == {*list_models(), *CLASSICAL}


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
    assert Augment.from_config(config(f"augment={name}")["augment"]) == Augment.from_config(name)


def test_every_optimizer_and_schedule_has_its_config():
    assert set(group("optimizer")) == set(OPTIMIZERS)
    assert set(group("scheduler")) == set(SCHEDULERS)
    assert set(group("loss")) == set(LOSSES)
    assert set(group("augment")) == {*PRESETS, *AUGMENTATIONS}


@pytest.mark.parametrize("name", group("adversary"))
def test_an_adversarys_config_has_the_defaults_of_its_name(config, name):
    assert config(f"adversary={name}")["adversary"] == {"name": name, **adversary.DEFAULTS[name]}


@pytest.mark.parametrize("name", group("optimizer"))
def test_an_optimizers_config_builds_it(config, name):
    choice = config(f"optimizer={name}")["optimizer"]
    optimizer = build_optimizer(choice, create_model("mlp").parameters(), lr=0.1)
    for option, value in choice.items():
        got = optimizer.defaults.get(option, value)
        assert (list(got) if isinstance(got, tuple) else got) == value


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


def test_a_configuration_of_version_0_1_0_has_neither_speed_nor_folds(config):
    cfg = config()
    del cfg["speed"], cfg["pretrained"], cfg["data"]["folds"], cfg["data"]["fold"], cfg["data"]["epoch_images"]
    check(cfg)
    del cfg["lr"]
    with pytest.raises(InputError, match="the setting lr is missing"):
        check(cfg)


# -- the table of checks ------------------------------------------------------------------------------------------


def options_of(group: str, name: str) -> dict:
    """Return the settings of an option of a group, with those of the file that its defaults list names."""
    content = OmegaConf.to_container(OmegaConf.load(CONFIG_DIR / group / f"{name}.yaml"))
    above = [entry for entry in content.pop("defaults", []) if isinstance(entry, str) and entry[0] not in "_/"]
    return options_of(group, above[0]) | content if above else content


@pytest.fixture(scope="module")
def default() -> dict:
    return compose_config()


@pytest.fixture(scope="module")
def configurations(default) -> list[tuple[str, dict]]:
    """Return each option of each group, and the configuration that it gives. Hydra would need 10 s to compose them."""
    found = []
    for chosen in groups():
        for option in group(chosen) if chosen != "experiment" else ():
            options = options_of(chosen, option)
            options = {key: "mine" if value == "???" else value for key, value in options.items()}
            without = WITHOUT if options.get("name") in ON_PIXELS else ()
            kept = {key: value for key, value in default.items() if key not in without}
            found.append((chosen, kept | {chosen: options}))
    return found


def leaves(node: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in node.items():
        yield from leaves(value, (*path, key)) if isinstance(value, dict) and value else [(*path, key)]


def renamed(cfg: dict, path: tuple[str, ...]) -> bool:
    """Return whether a path is the name of a classical model: another one needs what conf/classical.yaml removes."""
    return path == ("model", "name") and cfg["model"]["name"] in ON_PIXELS


def changed(node: dict, path: tuple[str, ...], value: object) -> dict:
    """Return a configuration with another value for one setting, or without it (``...``)."""
    key, rest = path[0], path[1:]
    if rest:
        return node | {key: changed(node[key], rest, value)}
    return {k: v for k, v in node.items() if k != key} if value is ... else node | {key: value}


def test_every_setting_of_every_option_has_a_check(configurations):
    """A new setting in conf/ needs a row in mnist_zoo/settings/table.py."""
    checked = set(checked_settings())
    for _, cfg in configurations:
        check(cfg)
        for path in leaves(cfg):
            *above, key = path
            name = cfg[path[0]].get("name", "") if path[0] in table.NAMED and len(above) == 1 else ""
            assert name == "mine" or (".".join(above), name, key) in checked, f"{'.'.join(path)} of {name} has no check"


GENERIC = (None, "maybe", -1, 0, 1e99, math.nan, math.inf, 10**400, [], [-1], {}, "", "a\nb", True, "1", ["a", {}], 5.5)
# The settings that take some of these values. All others refuse all of them.
TAKES: dict[str, list] = {
    **{key: [0, 5.5] for key in ("augment.rotate", "early_stop.min_delta", "optimizer.weight_decay", "model.l2")},
    **{key: [0] for key in ("augment.erase", "augment.mask", "augment.shift", "augment.zoom", "label_smoothing")},
    **{key: [0] for key in ("augment.elastic", "augment.stroke", "augment.background", "augment.noise")},
    "augment.blur": [0, 5.5],
    **{key: [True] for key in ("augment.flip_horizontal", "augment.flip_vertical", "debug", "logger.offline")},
    **{key: [True] for key in ("data.normalize", "data.filters.sharpen", "optimizer.nesterov")},
    **{key: [True] for key in ("model.batch_norm", "model.ceil_mode", "trainer.deterministic")},
    **{
        key: [0]
        for key in ("data.filters.blur", "data.split_seed", "early_stop.patience", "scheduler.patience", "seed")
    },
    **{key: [0] for key in ("model.dropout", "model.dropout_dense", "optimizer.eps", "optimizer.alpha")},
    **{key: ["maybe", "1"] for key in ("data.root", "data.train_csv", "output_dir", "logger.save_dir")},
    **{key: ["maybe", "1"] for key in ("logger.experiment_name", "logger.project", "logger.tracking_uri")},
    **{key: [None, "maybe", "1"] for key in ("data.test_csv", "pretrained", "resume", "sweep")},
    **{
        key: [None]
        for key in ("data.fallback", "data.fold", "data.folds", "data.epoch_images", "early_stop.monitor", "ema")
    },
    "model.dense": [[]],
    "model.hidden": [[]],
    **{key: [5.5] for key in ("model.C", "model.gamma", "model.learning_rate")},
    "model.var_smoothing": [0, 5.5],
    "model.max_depth": [None],
    "model.network": ["maybe", "1"],  # a module may register any network
    "plugins": [[]],
    "callbacks": [[]],
    "speed.off": [[]],
    "data.name": ["maybe", "1"],  # a module may register any name
    "model.name": ["maybe", "1"],
    "model.image_size": [None],
    "data.image_size": [None],
    "data.channels": [None],
    "grad_clip": [None, 1e99, 5.5],
    "lr": [1e99, 5.5],
    **{key: [0] for key in ("optimizer.momentum of rmsprop", "optimizer.momentum of muon", "optimizer.momentum_decay")},
    **{key: [0] for key in ("scheduler.min_lr of warmup_cosine", "scheduler.warmup", "augment.probability")},
    **{key: [5.5] for key in ("augment.alpha",)},
    "adversary.warmup": [0],
    "loss.gamma": [0, 5.5],
    **{key: [0] for key in ("loss.lower", "loss.upper")},
    **{key: [0, 5.5] for key in ("loss.down_weight", "model.reconstruction")},
    "scheduler.min_lr of cosine": [0],
    "scheduler.min_lr of plateau": [0, 5.5],
    "trainer.devices": [-1],
}


def test_no_setting_takes_a_value_of_another_kind_or_size(configurations):
    """Each setting of each option, with each generic value: thousands of configurations."""
    tried, wrong = 0, []
    for chosen, cfg in configurations:
        name = cfg[chosen].get("name", "")
        paths = [path for path in leaves(cfg) if path[0] == chosen or (chosen == "speed" and len(path) == 1)]
        for path in [path for path in paths if not renamed(cfg, path)] if name != "mine" else ():
            key = ".".join(path)
            takes = TAKES.get(key, TAKES.get(f"{key} of {name}", []))
            for value in GENERIC:
                valid = any(type(value) is type(one) and value == one for one in takes)
                try:
                    check(changed(cfg, path, value))
                    wrong += [] if valid else [f"{key}={value!r} of {name} was accepted"]
                except InputError as error:
                    wrong += [f"{key}={value!r} of {name}: {error}"] if valid else []
                    wrong += (
                        [f"{error} does not name {key}"]
                        if not {path[-1], chosen} & {*re.findall(r"\w+", str(error))}
                        else []
                    )
                tried += 1
    assert not wrong and tried > 3000, "\n".join(wrong)


OPEN = (
    "model",
    "adversary",
    "optimizer",
    "scheduler",
    "loss",
    "logger",
)  # groups whose options have the library's defaults


def test_no_setting_can_be_removed_but_those_with_a_default(configurations):
    with_default = {f"{name}.{key}" for name, group in table.GROUPS.items() for key in group.optional} | {*table.NEWER}
    for chosen, cfg in configurations:
        for path in leaves(cfg):
            key = ".".join(path)
            if path[-1] == "momentum" or (path[0] != chosen and len(path) > 1) or renamed(cfg, path):
                continue  # Nesterov's method needs a momentum
            if key in with_default or key == "callbacks" or (path[0] in OPEN and path[-1] != "name"):
                check(changed(cfg, path, ...))
            else:
                with pytest.raises(InputError, match=rf"the setting {key} is missing|unknown setting of augment"):
                    check(changed(cfg, path, ...))


@pytest.mark.parametrize("name", [*table.GROUPS, *table.NAMED])
@pytest.mark.parametrize("value", [5, None, "x", [], True], ids=repr)
def test_a_group_is_not_a_value(default, name, value):
    with pytest.raises(InputError, match=rf"{name}=.*: it is a group of settings: write {name}"):
        check(default | {name: value})


def test_the_table_has_the_names_of_the_library():
    assert set(table.NAMED["model"].options) == {*list_models(), *ON_FEATURES}
    assert set(PIXEL_MODELS.options) == set(ON_PIXELS) and {*ON_PIXELS, *ON_FEATURES} == set(list_estimators())
    assert set(table.NAMED["optimizer"].options) == set(OPTIMIZERS)
    assert set(table.NAMED["scheduler"].options) == set(SCHEDULERS)
    assert {name: set(options) for name, options in table.NAMED["adversary"].options.items()} == {
        name: set(options) for name, options in adversary.DEFAULTS.items()
    }
    assert set(table.NAMED["loss"].options) == set(LOSSES)
    assert set(table.NAMED["augment"].options) == set(AUGMENTATIONS)
    ours = {name for name in list_datasets() if source_of(name).__module__.startswith("mnist_zoo.")}  # not of tests
    assert set(table.NAMED["data"].options) == ours
    assert set(table.NAMED["logger"].options) == set(group("logger"))
    assert set(table.ACTIVATIONS) == set(layers.ACTIVATIONS) and set(table.SCHEMES) == {"default", *init.SCHEMES}


def test_the_options_in_the_table_are_those_of_the_functions_that_take_them():
    for name in list_models():
        assert set(table.NAMED["model"].options[name]) == set(parameters_of(name)) - {"num_classes", "in_chans"}, name
    for name, options in {**PIXEL_MODELS.options, **FEATURE_MODELS}.items():
        assert set(options) - {"network"} == set(ESTIMATORS.defaults(name)), name
    for name, options in table.NAMED["optimizer"].options.items():
        assert set(options) <= set(OPTIMIZERS.parameters(name)), name
    for group, registry in (("loss", LOSSES), ("augment", AUGMENTATIONS)):
        for name, options in table.NAMED[group].options.items():
            assert options.keys() == registry.defaults(name).keys(), name
    classes = {"plateau": lr_scheduler.ReduceLROnPlateau, "onecycle": lr_scheduler.OneCycleLR}
    for name, scheduler in classes.items():
        assert set(table.NAMED["scheduler"].options[name]) - {"monitor"} <= set(inspect.signature(scheduler).parameters)
    trainer = table.GROUPS["trainer"]
    known = set(inspect.signature(pl.Trainer).parameters)
    assert {*trainer.required, *trainer.optional, *trainer.instead} - {"matmul_precision"} <= known


INVALID = [
    ("lr=0", "lr=0: it must be above 0"),
    ("lr=abc", "lr=abc: it must be a number"),
    ("lr=nan", "lr=nan: it must be a number"),
    ("lr=1e999", "lr=inf: it must be finite"),
    ("lr=true", "lr=true: it must be a number"),
    ("lr=[0.1]", "lr=[0.1]: it must be a number"),
    ("lr=0.1,0.2", "lr=0.1,0.2: several values are a sweep: add -m (a list is written lr='[...]')"),
    ("~lr", "~lr: this setting cannot be removed"),
    ("~debug", "~debug: this setting cannot be removed"),
    ("~model", "~model: this setting cannot be removed"),
    ("~data.normalize", "the setting data.normalize is missing"),
    ("~data.filters.blur", "the setting data.filters.blur is missing"),
    ("+x=1", "unknown setting 'x'; known: adversary, augment, batch_size"),
    ("+lrr=1", "unknown setting 'lrr'; did you mean lr?"),
    ("++trainer.epochs=1", "unknown setting of trainer 'epochs'; did you mean min_epochs or max_epochs"),
    ("batch_size=0", "batch_size=0: it must be 1 or more"),
    ("batch_size=2.5", "batch_size=2.5: it must be an integer"),
    ("epochs=0", "epochs=0: it must be 1 or more"),
    ("epochs=1000000000000", "epochs=1000000000000: it must be 1,000,000 or less"),
    (f"epochs={10**60}", "epochs=an integer of more than 50 digits: it must be 1,000,000 or less"),
    ("seed=-1", "seed=-1: it must be 0 or more"),
    (f"seed={2**32}", "seed=4294967296: it must be 4,294,967,295 or less"),
    ("grad_clip=0", "grad_clip=0: it must be above 0"),
    ("pretrained=", "pretrained=: it must not be empty"),
    ("label_smoothing=1", "label_smoothing=1: it must be 0.99 or less"),
    ("ema=1.5", "ema=1.5: it must be 0.99999 or less"),
    ("monitor=null", "monitor=null: it must be one of val_acc, val_loss, train_acc, train_loss"),
    ("progress=dots", "progress=dots: it must be one of auto, bar, lines, none"),
    ("on_change=ask", "on_change=ask: it must be one of stop, rerun, keep"),
    ("debug=yes_please", "debug=yes_please: it must be true or false"),
    ("plugins=null", "plugins=null: it must be a list, such as [my_package.my_module]"),
    ("plugins=my_module", "plugins=my_module: it must be a list, such as [my_package.my_module]"),
    ("plugins=['../x']", "it must name modules as import does, such as my_package.my_module, not '../x'"),
    ("output_dir=", "output_dir=: it must name a folder"),
    ("output_dir=null", "output_dir=null: it must name a folder"),
    ("output_dir='~/x'", "output_dir=~/x: ~ is not replaced here: write $HOME, or the whole path"),
    ("sweep=../../x", "sweep=../../x: it must be the name of a folder, not a path"),
    ("sweep=a/b", "sweep=a/b: it must be the name of a folder, not a path"),
    ("sweep=/x", "sweep=/x: it must be the name of a folder, not a path"),
    ("sweep=", "sweep=: it must not be empty"),
    ("hydra.run.dir=../../x", "hydra.run.dir=../../x: it must not contain '..'"),
    ("hydra.run.dir=", "hydra.run.dir=: it must name a folder"),
    ("hydra.sweep.dir=../x", "hydra.sweep.dir=../x: it must not contain '..'"),
    ("hydra.sweep.subdir=x", "hydra.sweep.subdir cannot be changed here: use sweep=NAME"),
    ("hydra.output_subdir=null", "hydra.output_subdir cannot be changed here"),
    ("hydra.mode=MULTIRUN", "hydra.mode cannot be changed here: use -m"),
    ("hydra/sweeper=basic", "hydra/sweeper cannot be changed here"),
    ("hydra=5", "hydra cannot be changed here: of Hydra's settings, only these can"),
    ("+hydra.x=1", "hydra.x cannot be changed here"),
    ("hydra.job.chdir=true", "hydra.job.chdir cannot be changed here"),
    ("model=5", "unknown model '5'"),
    ("model=null", "unknown model 'null'"),
    ("experiment=null", "unknown experiment 'null'"),
    ("model=[cnn,mlp]", "model=['cnn', 'mlp']: it takes one name"),
    ("model={dense:3}", "model={'dense': 3}: it takes one name (to change a setting, write model.key=value)"),
    ("model=../model/cnn", "unknown model '../model/cnn'"),
    ("experiment=/x", "unknown experiment '/x'"),
    ("trainer=5", "unknown trainer '5'; known: auto, cpu"),
    ("early_stop=5", "early_stop=5: it is a group of settings: write early_stop.setting=value"),
    ("data.filters=5", "data.filters=5: it is a group of settings"),
    ("early_stop.monitor=acc", "early_stop.monitor=acc: it must be one of val_acc"),
    ("early_stop.patience=-1", "early_stop.patience=-1: it must be 0 or more"),
    ("early_stop.min_delta=x", "early_stop.min_delta=x: it must be a number"),
    ("augment.rotate=abc", "augment.rotate=abc: it must be a number"),
    ("augment.rotate=181", "augment.rotate=181: it must be 180 or less"),
    ("augment.fill=ones", "augment.fill=ones: it must be one of zeros, nearest"),
    ("augment.mask=1", "augment.mask=1: it must be below 1"),
    ("augment.mask=-0.1", "augment.mask=-0.1: it must be 0 or more"),
    ("adversary=5", "unknown adversary '5'; known: fgsm, none, pgd"),
    ("+adversary.epsilon=0.3", "adversary.epsilon: adversary 'none' has no options"),
    ("+augment.skew=1", "unknown setting of augment 'skew'"),
    ("augment.elastic=0.6", "augment.elastic=0.6: it must be 0.5 or less"),
    ("augment.stroke=x", "augment.stroke=x: it must be a number"),
    ("augment.blur=-1", "augment.blur=-1: it must be 0 or more"),
    ("augment.background=20", "augment.background=20: it must be 1 or less"),
    ("augment.noise=null", "augment.noise=null: it must be a number"),
    ("trainer.matmul_precision=low", "trainer.matmul_precision=low: it must be one of highest, high, medium"),
    ("trainer.accelerator=gpus", "trainer.accelerator=gpus: it must be one of auto, cpu, gpu, cuda, mps"),
    ("trainer.devices=0", "trainer.devices=0: it must be a number of devices (1 to 1024), auto, or a list"),
    ("trainer.precision=8", "trainer.precision=8: it must be one of auto, 32-true, 16-mixed"),
    ("+trainer.max_epochs=-1", "trainer.max_epochs=-1: it must be 1 or more"),
    ("+trainer.max_steps=-1", "trainer.max_steps=-1: it must be 1 or more"),
    ("+trainer.limit_val_batches=0", "trainer.limit_val_batches=0: it must be a number of batches"),
    ("+trainer.limit_train_batches=1.5", "trainer.limit_train_batches=1.5: it must be a number of batches"),
    ("+trainer.max_time=soon", "trainer.max_time=soon: it must be days, hours, minutes and seconds: DD:HH:MM:SS"),
    ("+trainer.max_time=00:00:00:00", "trainer.max_time=00:00:00:00: it must be above 0"),
    (
        "+trainer.gradient_clip_algorithm=value",
        "trainer.gradient_clip_algorithm=value clips nothing without a limit: add grad_clip=NUMBER",
    ),
    ("+trainer.fast_dev_run=true", "trainer.fast_dev_run: use trainer=smoke instead"),
    ("+trainer.default_root_dir=/x", "trainer.default_root_dir: use output_dir=DIR instead"),
    ("+trainer.callbacks=[x]", "trainer.callbacks: use callbacks=[my_package.my_module.MyCallback] instead"),
    ("callbacks=mine", "callbacks=mine: it must be a list, such as [my_package.my_module.MyCallback]"),
    ("callbacks=[Mine]", "such as my_package.my_module.MyCallback, not 'Mine'"),
    ("callbacks=['../x.y']", "it must name classes with their modules"),
    ("+augment.name=mixupp", "unknown augmentation 'mixupp'"),
    ("scheduler.name=cosin", "unknown scheduler 'cosin'; did you mean cosine"),
    ("loss.name=cross_entropie", "unknown loss 'cross_entropie'; did you mean cross_entropy"),
    ("+augment.alpha=0", "unknown setting of augment 'alpha'"),
    ("loss.name=focall", "unknown loss 'focall'; did you mean focal"),
    ("loss=5", "unknown loss '5'"),
    ("+loss.x=1", "loss.x: loss 'cross_entropy' has no options"),
    ("+trainer.plugins=x", "unknown setting of trainer 'plugins'"),
    ("data.val_size=1.5", "data.val_size=1.5: a fraction must be below 1"),
    ("data.val_size=0", "data.val_size=0: it must be above 0"),
    ("data.train_fraction=0", "data.train_fraction=0: it must be above 0"),
    ("data.epoch_images=0", "data.epoch_images=0: it must be 1 or more"),
    ("data.split_seed=null", "data.split_seed=null: it must be an integer"),
    ("data.folds=1", "data.folds=1: it must be 2 or more"),
    ("data.folds=5", "data.folds=5 and data.fold=null: give both"),
    ("data.fold=0", "data.folds=null and data.fold=0: give both"),
    ("data.normalize=maybe", "data.normalize=maybe: it must be true or false"),
    ("data.filters.blur=-1", "data.filters.blur=-1: it must be 0 or more"),
    ("data.filters.sharpen=xxx", "data.filters.sharpen=xxx: it must be true or false"),
    ("+data.filters.width=0", "data.filters.width=0: it must be 1 or more"),
    ("data.fallback=mnst5k", "data.fallback=mnst5k: unknown data set 'mnst5k'; did you mean mnist5k"),
    ("data.root=", "data.root=: it must name a folder"),
    ("data.root=null", "data.root=null: it must name a folder"),
    ("data.root='~/x'", "data.root=~/x: ~ is not replaced here: write $HOME, or the whole path"),
    (
        "model.image_size=0",
        "model.image_size=0: it must be 1 or more: a number of pixels, or a list of height and width",
    ),
    ("model.image_size=[28]", "model.image_size=[28]: it must be 1 or more: a number of pixels, or a list of height"),
    ("+data.count=3", "unknown option of data set 'mnist' 'count'"),
    ("speed.off=fused", "speed.off=fused: it must be a list, such as [pool_first,channels_last]"),
    ("+speed.captured=1", "speed.captured=1: it must be true or false"),
    ("speed.off=null", "speed.off=null: it must be a list"),
    ("speed.off=[fused,x]", "speed.off=['fused', 'x']: unknown optimisation 'x'; known: all, channels_last"),
    ("model.dropout=2", "model.dropout=2: it must be below 1"),
    ("model.channels=5", "model.channels=5: it must be a list, such as [32,64]"),
    ("model.channels=[0]", "each entry must be a number of channels (1 to 4,096) or a list of them, not 0"),
    ("model.kernel_size=a", "model.kernel_size=a: it must be an integer (1 to 1,024), or a list"),
    ("model.dense=[1000000000]", "model.dense=[1000000000]: it must be a number of units (1 to 16,384)"),
    ("model.activation=rellu", "model.activation=rellu: it must be one of relu, "),
    ("model.init=best", "model.init=best: it must be one of default, xavier, keras, he, normal"),
    ("model.name=lenet5", "unknown option of model 'lenet5' 'channels'"),
    ("+model.width=3", "unknown option of model 'cnn' 'width'"),
    ("optimizer.betas=[1]", "optimizer.betas=[1]: it must have 2 entries"),
    ("optimizer.betas=[0.9,1]", "optimizer.betas=[0.9, 1]: it must be below 1, not 1"),
    ("optimizer.name=adm", "unknown optimizer 'adm'; did you mean adam"),
    ("+optimizer.lr=1", "unknown option of optimizer 'adam' 'lr'"),
    ("+scheduler.x=1", "scheduler.x: scheduler 'none' has no options"),
    ("+logger.x=1", "logger.x: logger 'tensorboard' has no options"),
]


@pytest.mark.parametrize(("override", "message"), INVALID, ids=[row[0][:40] for row in INVALID])
def test_an_invalid_override_is_one_line_that_names_it(default, override, message):
    with pytest.raises(InputError) as error:
        (parsed,) = parse([override])
        check_overrides([parsed], multirun=False)
        check(changed(default, tuple(parsed.key_or_group.split(".")), ... if parsed.is_delete() else parsed.value()))
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lr=${epoch}", "Interpolation key 'epoch' not found"),
        ("lr=${oc.env:NO_SUCH_VARIABLE}", "Environment variable 'NO_SUCH_VARIABLE' not found"),
        ("model.dens=3", "unknown setting of model 'dens'; did you mean dense?"),
        ("+scheduler.x=1", "scheduler.x: scheduler 'none' has no options"),
        ("model=custom", "model.name has no value: add model.name=..."),
        ("~model.name", "the setting model.name is missing"),
        ("model.dropout=2", "model.dropout=2: it must be below 1"),
        ("model=densenet_bc model.depth=23", "model.depth=23: it must be 4 more than a multiple of 6, such as 22"),
        ("early_stop.patience=9", "early_stop.patience=9 stops nothing without a metric: add early_stop.monitor="),
        ("experiment=dropout early_stop.monitor=null early_stop.min_delta=0.1", "early_stop.min_delta=0.1 stops"),
    ],
)
def test_composing_a_configuration_has_the_same_errors(override, message):
    with pytest.raises(InputError) as error:
        check(compose_config(override.split()))
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["ema=null", "grad_clip=1", "early_stop.monitor=null", "lr=2e-4", "data.val_size=5000"],
        ["+trainer.max_time=00:01:00:00", "+trainer.accumulate_grad_batches=2", "+trainer.max_steps=22"],
        ["+trainer.limit_train_batches=5", "+trainer.val_check_interval=0.5", "+trainer.limit_val_batches=1.0"],
        ["trainer.devices=[0,1]", "+trainer.strategy=ddp"],
        ["trainer.devices=auto", "trainer.precision=bf16-mixed", "trainer.deterministic=warn"],
        ["trainer.precision=auto", "+speed.captured=true"],
        ["optimizer=sgd", "optimizer.nesterov=false", "optimizer.momentum=0", "+optimizer.dampening=0.1"],
        ["model=double_conv", "model.kernel_size=3", "model.dense=[]", "model.channels=[[8,8],16]"],
        ["model=custom", "model.name=my_net", "+model.width={a:[1]}", "data=custom", "data.name=my_set", "+data.n=x"],
        ["hydra.run.dir=outputs/mine", "output_dir=/somewhere/else", "sweep='my sweep, no. 2'"],
        ["lr=${mnist_zoo.cores:}", "data.root=${oc.env:HOME}", "~optimizer.betas"],
        ["scheduler=onecycle", "+scheduler.div_factor=10"],
        ["data=qmnist", "data.test_digits=all"],
        ["data.folds=5", "data.fold=4"],
        ["early_stop.patience=9", "early_stop.monitor=val_acc"],
        ["experiment=dropout", "early_stop.monitor=null"],
        ["experiment=dropout", "early_stop.patience=9"],
    ],
    ids=" ".join,
)
def test_valid_overrides_pass(overrides):
    register_resolvers()
    check(compose_config(overrides))


def test_a_fold_must_exist():
    with pytest.raises(InputError, match=r"data\.fold=5: with data\.folds=5 it must be from 0 to 4"):
        check(compose_config(["data.folds=5", "data.fold=5"]))


def test_single_values_are_checked_before_anything_is_composed():
    with pytest.raises(InputError, match=r"trainer\.max_steps=0: it must be 1 or more"):
        check_value("trainer.max_steps", 0)
    check_value("model.dropout", 2)  # depends on the network: checked with the whole configuration
    check_value("a setting without a check", "y")
