"""Which values settings may have: a second opinion beside the library's own checks.

`REFUSED` and `ACCEPTED` are words of the training's command line, each tried alone; ``@`` is the folder of the world.
`valid` judges any value of any key.
"""

from __future__ import annotations

from collections.abc import Callable

from fuzz.oracle import is_finite

Check = Callable[[object], bool]

# Small, silent and quick. A line takes away those whose key it sets itself.
BASE = ("data=mnist5k", "model=mlp", "model.hidden=[4]", "epochs=1", "trainer=smoke", "data.train_fraction=0.02",
        "logger=none", "progress=none", "output_dir=outputs")  # fmt: skip


def _words(text: str) -> tuple[str, ...]:
    """Return the words between bars; a line that starts with ``#`` is a comment."""
    lines = [line.strip().removesuffix("|") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return tuple(word.strip() for line in lines for word in line.split(" | "))


REFUSED = _words(
    r"""
    # issue 14, point 4: accepted but wrong
    data.split_seed=null | data.split_seed=-1 | data.split_seed=x | data.split_seed=1.5 | data.normalize=maybe |
    data.folds=1 | data.folds=5 | data.fold=0 | data.folds=5 data.fold=5 |
    data.normalize=null | data.normalize=2 | ~data.normalize | data.filters.blur=-1 | data.filters.blur=x |
    data.filters.blur=1.5 | data.filters.sharpen=xxx | data.filters.sharpen=3 | data.filters=null | data.filters=5 |
    +data.filters.x=1 | scheduler=none +scheduler.x=1 | +optimizer.x=1 | +model.x=1 | +data.x=1 | +augment.x=1 |
    +early_stop.x=1 | +speed.x=1 | +trainer.x=1 | +logger.x=1 | +x=1 | +lr.x=1 | lr.x=1
    # types and ranges of groups
    model=5 | model=null | model=[] | model=nosuch | early_stop=5 | early_stop=null | plugins=null | plugins=5 |
    plugins=[5] | plugins=[nosuch_module] | plugins=nosuch | optimizer=5 | optimizer=null | scheduler=5 | trainer=5 |
    trainer=null | logger=5 | logger=null | speed=5 | augment=5 | augment=null | data=5 | data=null | experiment=5 |
    ~model | ~data | ~lr | ~seed | ~trainer | ~optimizer | ~early_stop | ~augment.rotate | ~data.name | ~data.root |
    ~model.name | ~optimizer.name | ~output_dir | ~resume | ~nosuch
    # numbers
    lr=0 | lr=-1 | lr=nan | lr=inf | lr=x | lr=null | lr=true | lr=[1] | lr='' | batch_size=0 | batch_size=1.5 |
    batch_size=true | batch_size=null | epochs=0 | epochs=1.5 | epochs=x | epochs=null | seed=-1 | seed=1.5 |
    seed=null | seed=4294967296 | label_smoothing=1 | label_smoothing=-0.1 | label_smoothing=nan | grad_clip=-1 |
    grad_clip=x | grad_clip=nan | grad_clip=inf | ema=1 | ema=0 | ema=x | monitor=x | monitor=null |
    early_stop.patience=-1 | early_stop.patience=x | early_stop.min_delta=nan | early_stop.monitor=x | data.val_size=0 |
    data.val_size=1.0 | data.val_size=100000000 | data.val_size=x | data.val_size=nan | data.train_fraction=0 |
    data.train_fraction=2 | data.train_fraction=x | data.name=nosuch | data.name=5 | data.root=5 | data.root=null |
    data.fallback=5
    # networks
    model.dropout=2 | model.dropout=-1 | model.dropout=x | model.dropout=nan | model.hidden=x | model.hidden=[0] |
    model.hidden=[-1] | model.hidden=[1.5] | model.hidden=null | model.hidden=[x] | model.hidden=[[1]] |
    model.activation=x | model.activation=null | model.activation=5 | model.init=x | model.init=null |
    model.image_size=0 | model.image_size=x | model.image_size=14 | model.name=nosuch | model.name=5 |
    model=cnn model.channels=x | model=cnn model.channels=[] | model=cnn model.channels=[0,1] |
    model=cnn model.kernel_size=0 | model=cnn model.kernel_size=x | model=cnn model.kernel_size=99 |
    model=cnn model.padding=x | model=cnn model.batch_norm=maybe | model=cnn model.ceil_mode=maybe |
    model=cnn model.l2=-1 | model=cnn model.l2=x | model=cnn model.dense=x | model=cnn model.dense=[-1] |
    model=cnn model.dropout_dense=7 | model=lenet5 model.pooling=x | model=lenet5 model.activation=5
    # classical models
    model=knn epochs=2 | model=knn trainer=smoke | model=knn optimizer=sgd | model=knn early_stop.patience=2 |
    model=knn model.n_neighbors=0 | model=knn model.n_neighbors=5000 | model=knn model.weights=x | model=knn model.p=x |
    model=knn +model.init=he | model=knn logger=tensorboard | model=cnn_svm model.network=knn |
    model=cnn_svm model.network=nosuch | model=cnn_svm model.gamma=x |
    # augmentation
    augment.rotate=abc | augment.rotate=nan | augment.rotate=null | augment.rotate=-5 | augment.shift=x |
    augment.shift=-1 | augment.zoom=2 | augment.zoom=x | augment.erase=2 | augment.erase=x | augment.erase=-1 |
    augment.fill=x | augment.fill=null | augment.flip_horizontal=maybe | augment.flip_vertical=7 | augment.mask=1 |
    augment.mask=x | adversary=x | adversary=null | adversary=fgsm adversary.epsilon=2 |
    augment.elastic=0.6 | augment.stroke=x | augment.blur=-1 | augment.background=2 | augment.noise=null
    # optimizers and schedules
    optimizer.betas=x | optimizer.betas=[2,2] | optimizer.betas=[0.9] | optimizer.eps=-1 | optimizer.eps=x |
    optimizer.weight_decay=-1 | optimizer.weight_decay=x | optimizer.name=x | optimizer=sgd optimizer.momentum=-1 |
    optimizer=sgd optimizer.momentum=x | optimizer=sgd optimizer.nesterov=maybe | optimizer=rmsprop optimizer.alpha=x |
    scheduler=exponential scheduler.gamma=-1 | scheduler=exponential scheduler.gamma=x |
    scheduler=cosine scheduler.min_lr=x | scheduler=cosine scheduler.min_lr=-1 |
    scheduler=onecycle scheduler.pct_start=2 | scheduler=plateau scheduler.monitor=x |
    scheduler=plateau scheduler.patience=x | scheduler=plateau scheduler.factor=2 | scheduler.name=x
    # the trainer
    +trainer.max_epochs=-1 trainer=cpu | trainer.max_epochs=-1 | trainer.max_epochs=x | trainer.devices=x |
    trainer.devices=0 | trainer.devices=null | trainer.accelerator=x | trainer.accelerator=5 | trainer.precision=x |
    trainer.precision=5 | trainer.matmul_precision=x | trainer.deterministic=maybe | trainer.limit_train_batches=-1 |
    trainer.limit_train_batches=x | +trainer.callbacks=[x] | +trainer.logger=x | +trainer.enable_checkpointing=true
    # where to write
    output_dir= | output_dir=null | output_dir=5 | output_dir=[] | sweep=../../x | speed.off=x | speed.off=null |
    speed.off=[x] | progress=x | on_change=x | debug=maybe | debug=null | resume=nosuch | resume= |
    hydra.sweep.subdir=x -m seed=0,1 | -m sweep=../../x seed=0,1 | -m sweep= seed=0,1 | -m sweep=.. seed=0,1 |
    -m sweep=@/elsewhere seed=0,1 | -m lr=interval(0,1) | -m resume=outputs/runs/finished
    # words
    x | = | lr | == | lr==1 | -x | --nosuch | --cfg | --cfg x | --cfg job -m | --info x | --resolve | lr=${nosuch} |
    lr=${oc.env:NO_SUCH_VARIABLE} | lr=${ | lr='1 | model.hidden=[4 | search=dropout | lr=??? | data=csv | data=custom |
    model=custom | experiment=nosuch | data=csv data.train_csv=nosuch.csv |
    data=csv data.train_csv=images | trainer=cuda | trainer=nosuch
    """
)

ACCEPTED = _words(
    r"""
    lr=1e-3 | seed=4294967295 | epochs=1 | epochs=2 trainer=cpu | batch_size=1 | batch_size=1000000 |
    label_smoothing=0.1 | grad_clip=1 | ema=0.9 | monitor=val_loss | early_stop.monitor=val_loss | data.val_size=10 |
    data.val_size=0.5 | data.split_seed=7 | data.normalize=false | data.filters.blur=2 | data.filters.sharpen=true |
    augment=affine | augment=thesis | augment.rotate=10 | augment.erase=0.5 | augment.fill=nearest | optimizer=sgd |
    optimizer=rmsprop | optimizer=adamw | scheduler=cosine | scheduler=onecycle | scheduler=plateau |
    scheduler=exponential | model=cnn model.channels=[4,4] model.dense=[8] | model=lenet5 | model.dropout=0.5 |
    model.init=he | speed=none | speed.off=[fused] | logger=tensorboard | trainer.precision=bf16-mixed | trainer=cpu |
    progress=lines | -m seed=0,1 | -m sweep=a seed=0,1 | --help | --cfg job | --info searchpath |
    output_dir=outputs/deeper/place | debug=true | data.folds=5 data.fold=4 |
    model=knn | model=knn model.n_neighbors=5 seed=1 | model=cnn_svm model.network=mlp |
    experiment=architectures
    """
)


def number(low: float = -1e300, high: float = 1e300) -> Check:
    """Return whether a value is a finite number from `low` to `high`."""
    return lambda value: is_finite(value) and low <= value <= high  # type: ignore[operator]


def integer(low: int, high: int = 2**63) -> Check:
    """Return whether a value is an integer from `low` to `high`."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def optional(check: Check) -> Check:
    """Return whether a value is None or passes a check."""
    return lambda value: value is None or check(value)


# Keys whose range follows from their meaning. The type of any other key is that of its default.
RANGES: dict[str, Check] = {
    "lr": number(1e-300), "batch_size": integer(1), "epochs": integer(1), "seed": integer(0, 2**32 - 1),
    "label_smoothing": number(0, 1), "grad_clip": optional(number(1e-300)), "ema": optional(number(0, 1)),
    "early_stop.patience": integer(0), "early_stop.min_delta": number(0), "data.split_seed": integer(0),
    "data.filters.blur": integer(0), "augment.rotate": number(0), "augment.shift": number(0),
    "augment.zoom": number(0, 1), "augment.erase": number(0, 1), "augment.elastic": number(0, 1),
    "augment.stroke": number(0), "augment.blur": number(0), "augment.background": number(0, 1),
    "augment.noise": number(0, 1), "model.dropout": lambda value: isinstance(value,
    list) or number(0, 1)(value),
    "model.dropout_dense": lambda value: isinstance(value, list) or number(0, 1)(value), "model.l2": number(0),
    "optimizer.weight_decay": number(0), "optimizer.eps": number(0), "optimizer.momentum": number(0),
    "data.train_fraction": number(1e-300, 1), "data.val_size": number(1e-300), "scheduler.min_lr": number(0),
}  # fmt: skip
# Keys that take values of several types, or that do not belong to training.
ANY = {"sweep", "resume", "trainer.devices", "trainer.precision", "trainer.deterministic", "model.dense",
       "model.kernel_size", "model.hidden", "trainer.limit_train_batches", "trainer.limit_val_batches"}  # fmt: skip


def valid(key: str, value: object, default: object) -> bool | None:
    """Return whether a value is valid for a key, or None if that is not known here."""
    if key in ANY or key.startswith("hydra.") or (default is None and key not in RANGES):
        return None
    if key in RANGES:
        return RANGES[key](value)
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, (int, float)):
        return is_finite(value)
    return isinstance(value, type(default)) and value != ""
