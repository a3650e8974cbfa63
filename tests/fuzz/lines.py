"""Command lines from a seed: every key of the configuration, valid and invalid values, all commands."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fuzz.commands import DOORS, ROOT
from fuzz.table import BASE, valid

UNKNOWN = object()  # a value that only Hydra knows
NAN, INF = float("nan"), float("inf")
# word: the value that Hydra reads from it
VALUES: dict[str, object] = {
    "null": None, "maybe": "maybe", "true": True, "False": False, "-1": -1, "0": 0, "1": 1, "2": 2, "0.5": 0.5,
    "1.5": 1.5, "-0.0": -0.0, "1e99": 1e99, "1e-320": 1e-320, "nan": NAN, "inf": INF, "-inf": -INF, "[]": [], "{}": {},
    "[1,2]": [1, 2], "[null]": [None], "[[1],[2]]": [[1], [2]], "{a:1}": {"a": 1}, "{name:x}": {"name": "x"},
    "123456789012345678901234567890": 123456789012345678901234567890, "''": "", "' '": " ", "'a b'": "a b",
    '"quoted"': "quoted", "": "", "été∑🙂": UNKNOWN, "'été∑🙂'": "été∑🙂", "'\x1b[2J'": "\x1b[2J", "'a\nb'": "a\nb",
    "'<script>'": "<script>", "'\u202eabc'": "\u202eabc", "x" * 5000: "x" * 5000, "${lr}": UNKNOWN,
    "${nosuch}": UNKNOWN, "${oc.env:NO_SUCH}": UNKNOWN, "${oc.env:HOME}": UNKNOWN, "${": UNKNOWN, "???": UNKNOWN,
    "\\": UNKNOWN, "'": UNKNOWN, "a=b": UNKNOWN, "1,": UNKNOWN, "range(1,3)": UNKNOWN, "choice(1,2)": UNKNOWN,
    "interval(0,1)": UNKNOWN, "glob(*)": UNKNOWN, "int(x)": UNKNOWN, "1_000": 1000, "0x10": UNKNOWN, "\udcff": UNKNOWN,
    "10000000000": 10000000000, "[10000000000]": [10000000000],
}  # fmt: skip
# Groups whose options have keys of their own, each small enough to train in a second.
GROUPS = ((), (), (), ("model=cnn", "model.channels=[4,4]", "model.dense=[8]"), ("model=lenet5",), ("optimizer=sgd",),
          ("optimizer=rmsprop",), ("optimizer=adamw",), ("scheduler=cosine",), ("scheduler=onecycle",),
          ("scheduler=plateau",), ("scheduler=exponential",), ("augment=affine",),
          ("data=csv", "data.train_csv=kaggle.csv"),
          ("data=mnist", "data.root=idx"), ("data=mnist", "data.root=idxgz"), ("early_stop.monitor=val_acc",),
          ("trainer=cpu",), ("logger=tensorboard",))  # fmt: skip
# Hydra starts other programs or leaves the run for these; devices are processes.
UNTOUCHED = ("hydra.launcher", "hydra.help", "hydra.hydra_help", "hydra.runtime", "hydra.hydra_logging")
MANY_DEVICES = {"trainer.devices": ("2", "10000000000", "123456789012345678901234567890", "[1,2]")}
PATHS = ("outputs", "outputs/runs", "outputs/runs/finished", "outputs/runs/interrupted", "outputs/sweeps/pair",
         "outputs/searches/tiny", "outputs/runs/finished/checkpoints/best.ckpt", "net.safetensors", "images",
         "images/1.png", "kaggle.csv", "nosuch", "", ".", "..", "/dev/null", "/dev/full", "outputs/*", "*.png", "-",
         "x" * 300, "a\nb", "\x1b[2J", "\udcff", "cnn", "mlp", "été", "--", "-x", "\x00"[:0])  # fmt: skip
FLAGS: dict[str, tuple[str, ...]] = {
    "status": (), "report": ("--out", "--data-root"), "predict": ("--raw", "--csv", "--json", "--show", "--plugin"),
    "export": ("--format", "-o", "--with-normalize", "--plugin"), "explore": ("--tsne", "--out"), "search": (),
}  # fmt: skip
SEARCH = ("search=dropout", "search=nosuch", "search=", "search", "trials=0", "trials=-1", "trials=x", "trials=1e9",
          "trials=", "study=../../x", "study=", "study=@/elsewhere", "lr=0", "resume=x", "sweep=a", "modle=cnn",
          "--open",
          "-m", "model=nosuch", "trials=²", "epochs=x", "search=regularisation model=mlp", "tirals=2")  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        door: the command, a key of `DOORS`.
        words: its arguments.
        expected: ``refused``, ``accepted`` or None if either may be right.
    """

    door: str
    words: tuple[str, ...]
    expected: str | None = None

    def __str__(self) -> str:
        return f"python -m {DOORS[self.door]} " + " ".join(repr(word) for word in self.words)


def training(own: Sequence[str], expected: str | None = None) -> Line:
    """Return a line of the training: the base without what `own` replaces, then `own`."""
    keys = {word.lstrip("+~").partition("=")[0] for word in own}
    groups = {word.partition("=")[0] for word in own if word.partition("=")[0] in ("model", "trainer", "data")}
    base = [word for word in BASE if word.partition("=")[0] not in keys]
    if "model" in groups:
        base = [word for word in base if not word.startswith("model.")]
    if "model=knn" in own:  # it has neither
        base = [word for word in base if not word.startswith(("epochs", "trainer"))]
    return Line("mnist_zoo", (*base, *own), expected)


def line(seed: int, number: int) -> Line:
    """Return one of the command lines of a seed; it depends on nothing else."""
    rng = random.Random(f"line {seed} {number}")
    make = rng.choices((_one_value, _structure, _hydra, _sweep, _other_door), (45, 15, 10, 10, 20))[0]
    return make(rng)


@cache
def _leaves(groups: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Return every key of the configuration with its default, also those of inner nodes."""
    from omegaconf import OmegaConf

    from mnist_zoo.hydra_app.compose import CONFIG_DIR
    from mnist_zoo.hydra_app.config_dir import compose_unresolved
    from mnist_zoo.hydra_app.names import register_resolvers

    assert CONFIG_DIR.is_relative_to(ROOT), f"this fuzz would test {CONFIG_DIR}"
    register_resolvers()
    cfg = compose_unresolved([*groups], with_hydra=True)
    return sorted(_flatten(OmegaConf.to_container(cfg, resolve=False)))


def _flatten(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")


def _one_value(rng: random.Random) -> Line:
    """Return a line that gives one key of the training a value, most often an invalid one."""
    groups = rng.choice(GROUPS)
    key, default = rng.choice([(key, value) for key, value in _leaves(groups) if not key.startswith("hydra")])
    word = rng.choice([word for word in VALUES if word not in MANY_DEVICES.get(key, ())])
    judged = None if VALUES[word] is UNKNOWN or isinstance(default, dict) else valid(key, VALUES[word], default)
    return training([*groups, f"{key}={word}"], "refused" if judged is False else None)


def _structure(rng: random.Random) -> Line:
    """Return a line with deletions, additions, groups, options and words that are none."""
    key, _ = rng.choice([leaf for leaf in _leaves(rng.choice(GROUPS)) if not leaf[0].startswith("hydra")])
    value = rng.choice([*VALUES])
    own = rng.choice([f"~{key}", f"~{key}={value}", f"+{key}={value}", f"+{key}.x={value}", f"+new={value}",
                      f"+trainer.new={value}", f"{key.split('.')[0]}={value}", f"{key}@{key}={value}", value,
                      f"={value}",
                      f"-{key}", f"--{key}={value}", f"{key}", f"{key}=", f"{key} ={value}", f"{key}= {value}",
                      "--cfg job",
                      "-c all", "-i", "--info defaults", "-m", "-r", "--version", "--help", "-h", "--hydra-help",
                      "-p model",
                      "-cd images", "-cn nosuch", "-cp /nosuch", "--experimental-rerun nosuch", "-sc bash", "--", "-",
                      f"resume={rng.choice(PATHS)}", f"sweep={value}", f"plugins=[{value}]"])  # fmt: skip
    if any(word in own for word in MANY_DEVICES["trainer.devices"]) and "devices" in own:
        own = "~trainer.devices"
    return training(own.split(" ") if own.startswith("-") else [own])


def _hydra(rng: random.Random) -> Line:
    """Return a line that changes Hydra's own settings."""
    keys = [key for key, _ in _leaves(()) if key.startswith("hydra") and not key.startswith(UNTOUCHED)]
    key = rng.choice(keys)
    value = rng.choice([*VALUES])
    return training(
        [rng.choice([f"{key}={value}", f"~{key}", f"++{key}.x={value}", f"{key}={value} -m"]).split(" -m")[0]]
    )


def _sweep(rng: random.Random) -> Line:
    """Return a sweep over a few values of one key, of which some may be invalid."""
    key, _ = rng.choice([leaf for leaf in _leaves(()) if not leaf[0].startswith("hydra")])
    words = [word for word in VALUES if word not in MANY_DEVICES["trainer.devices"]]
    values = ",".join(rng.choices(words, k=rng.choice([1, 2, 3])))
    return training(["-m", f"{key}={values}", *rng.choice([(), ("seed=0,1",), ("sweep=pair",), ("on_change=keep",)])])


def _other_door(rng: random.Random) -> Line:
    """Return a line of a command that reads results."""
    door = rng.choice([door for door in DOORS if door != "mnist_zoo"])
    flags = FLAGS.get(door, ())
    words = rng.choices(PATHS, k=rng.choice([0, 1, 1, 2, 2, 3]))
    if door == "search":
        small = [word for word in BASE if not word.startswith(("model", "data.train"))]
        words = [*" ".join(rng.choices(SEARCH, k=rng.choice([1, 2, 3]))).split(" "), "trials=1", *small]
    elif door == "explore":
        words = [
            "--tsne",
            "0",
            "data=mnist5k",
            f"{rng.choice(['data.root', 'augment.fill', 'lr', 'x'])}={rng.choice([*VALUES])}",
        ]
    for flag in rng.sample(flags, k=min(len(flags), rng.choice([0, 0, 1, 2]))):
        words += [flag, rng.choice(PATHS)] if rng.random() < 0.8 else [flag]
    if rng.random() < 0.05:
        words.append(rng.choice(["--help", "-h", "--version", "--nosuch", "--watch"]))
    return Line(door, tuple(word for word in words if "\x00" not in word))
