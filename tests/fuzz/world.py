"""A folder as it is after some days of work: runs, a sweep, a search, weights, images and data."""

from __future__ import annotations

import gzip
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from fuzz.commands import Outcome, call
from fuzz.table import BASE

QUICK = [word for word in BASE if not word.startswith(("epochs", "trainer", "output_dir"))]
QUICK += ["trainer=cpu", "batch_size=16", "output_dir=outputs"]
RUN = [*QUICK, "epochs=2"]
INTERRUPTED = [*QUICK, "epochs=3"]
SWEEP = [*QUICK, "epochs=2", "-m", "sweep=pair", "seed=0,1,2"]


def make_world(folder: Path) -> Path:
    """Fill ``folder/work`` (see above) and put files beside it that no command may touch; return ``folder``."""
    work = folder / "work"
    work.mkdir(parents=True)
    (folder / "beside").mkdir()
    (folder / "beside" / "precious.txt").write_text("earlier work\n")
    _data_files(work)
    _done(call("mnist_zoo", [*RUN, "hydra.run.dir=outputs/runs/finished"], work))
    _interrupt(lambda: call("mnist_zoo", [*INTERRUPTED, "hydra.run.dir=outputs/runs/interrupted"], work))
    _done(call("mnist_zoo", SWEEP, work))
    _done(call("search", ["search=regularisation", "study=tiny", "trials=2", *_search_words()], work, limit=120))
    _done(
        call("export", ["outputs/runs/finished", "--format", "safetensors", "-o", "net.safetensors"], work, limit=120)
    )
    shutil.copy(work / "outputs/runs/finished/checkpoints/best.ckpt", work / "net.ckpt")
    return folder


def copy_world(world: Path, folder: Path) -> Path:
    """Return a copy of a world, with its times of change."""
    return Path(shutil.copytree(world, folder, symlinks=True))


def jobs(work: Path) -> list[str]:
    """Return the folders of the sweep's jobs, relative to the world's ``work``. Damage to their files changes none."""
    return sorted(str(path.parent.relative_to(work)) for path in work.glob("outputs/sweeps/pair/*/checkpoints"))


def _search_words() -> list[str]:
    small = ["model.channels=[4,4]", "model.dense=[8]", "epochs=1", "trainer=smoke"]
    return [*small, *(word for word in QUICK if not word.startswith(("model", "trainer")))]


def _done(outcome: Outcome) -> None:
    assert outcome.status == 0 and not outcome.raised, f"{outcome.raised}{outcome.stderr}{outcome.hung}"


def _interrupt(command: Callable[[], Outcome]) -> None:
    """Run a training and stop it, as Ctrl-C does, when its third epoch starts."""
    from pytorch_lightning.callbacks import Callback

    class Stop(Callback):
        def on_train_epoch_start(self, trainer: object, pl_module: object) -> None:
            if trainer.current_epoch == 2:  # type: ignore[attr-defined]
                raise KeyboardInterrupt

    with mock.patch("mnist_zoo.training.run.progress", lambda *_, **__: [Stop()]):
        outcome = command()
    assert outcome.status == 130, outcome


def _data_files(work: Path) -> None:
    """Write a small data set as IDX files, gzipped and not, as CSV, and some of its images as PNG files."""
    from PIL import Image

    rng = np.random.default_rng(0)
    labels = np.arange(240, dtype=np.uint8) % 10
    images = rng.integers(0, 60, (240, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 + 2 * label : 4 + 2 * label] += 150
    parts = {"train-images-idx3-ubyte": images[:200], "train-labels-idx1-ubyte": labels[:200],
             "t10k-images-idx3-ubyte": images[200:], "t10k-labels-idx1-ubyte": labels[200:]}  # fmt: skip
    for name, array in parts.items():
        header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        for root, suffix, content in (("idx", "", header + array.tobytes()),
                                      ("idxgz", ".gz", gzip.compress(header + array.tobytes(), mtime=0))):  # fmt: skip
            path = work / root / "MNIST" / "raw" / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    rows = np.hstack([labels[:, None], images.reshape(240, -1)])
    header_line = ",".join(["label", *(f"pixel{number}" for number in range(784))])
    np.savetxt(work / "kaggle.csv", rows, "%d", ",", header=header_line, comments="")
    (work / "images").mkdir()
    for number in range(3):
        Image.fromarray(images[number]).resize((60, 60)).save(work / "images" / f"{number}.png")
