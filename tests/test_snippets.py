"""Every command and snippet of the README and the guides, run in this process on a few hundred images.

A page is run from top to bottom in a folder of its own, which holds what a reader is told to have: a finished run, a
sweep, photographs. Data sets are replaced by 400 of the embedded digits; trainings are cut to one epoch, sweeps to two
values of each setting, tests of robustness to 20 images (`shortened`). A block that cannot run so
has ``<!-- not run: REASON -->`` on the line before it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import importlib
import io
import logging
import re
import shlex
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_zoo.data import ImageSet, sources
from mnist_zoo.data.mnist5k import mnist5k
from mnist_zoo.names import CLASSICAL
from mnist_zoo.runs import find_runs, read_status

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
LANGUAGES = {"bash", "console", "python", "text", ""}
MADE = "outputs/runs/made"  # the finished run that `outputs/runs/<folder>` stands for
SWEEP = "outputs/sweeps/seeds"  # the sweep that `outputs/sweeps/<name>` stands for
REPLACED = ("mnist5k", "mnist", "fashion_mnist", "qmnist", "emnist_digits", "svhn", "cifar10")


@dataclass(frozen=True)
class Block:
    """A block of code on a page: its language, its text, and why it is not run (empty: it is run)."""

    language: str
    text: str
    reason: str


def blocks(page: str) -> list[Block]:
    """Return the blocks of code on a page, in order."""
    found = []
    for match in BLOCK.finditer((ROOT / page).read_text()):
        mark = match["mark"] or ""
        reason = mark.removeprefix("not run:").strip() if mark.startswith("not run:") else ""
        found.append(Block(match["language"], match["text"], reason))
    return found


def commands(text: str) -> list[list[str]]:
    """Return the words of each command of a block, without comments and installations."""
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    parts = [part for words in lines for part in split(words, "&&")]
    return [words for words in parts if words and words[0] != "pip" and words[1:3] != ["-m", "pip"]]


def split(words: Sequence[str], at: str) -> list[list[str]]:
    """Split words at each occurrence of a word."""
    found: list[list[str]] = [[]]
    for word in words:
        found.append([]) if word == at else found[-1].append(word)
    return found


# -- without running anything --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_each_block_is_run_or_says_why_not(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, block.text
        if block.language == "python":
            compile(block.text, page, "exec")
        if block.language == "bash":
            for words in commands(block.text):
                known = words[0] in ("python", "python3") and words[1] in ("-m", "docs/build.py")
                assert known or block.reason, words


def test_few_blocks_are_not_run():
    every = [block for page in PAGES for block in blocks(page) if block.language in ("bash", "console", "python")]
    left_out = [block for block in every if block.reason]
    assert len(left_out) <= len(every) / 5
    assert all(len(block.reason.split()) >= 3 for block in left_out), "a reason is a sentence"


# -- a place to run in ---------------------------------------------------------------------------------------------


def small(name: str) -> ImageSet:
    """Return 300 training and 100 test images of the embedded digits, all classes equally often."""
    whole = mnist5k(Path())
    chosen = np.stack([np.flatnonzero(whole.train_labels == label)[:40] for label in range(10)], axis=1).ravel()
    images, labels = whole.train_images[chosen], whole.train_labels[chosen]
    if name == "cifar10":
        images = np.repeat(np.pad(images, ((0, 0), (2, 2), (2, 2)))[:, None], 3, axis=1)
    return ImageSet(images[:300], labels[:300], images[300:], labels[300:])


def stand_in(name: str) -> sources.Source:
    """Return a source that gives few images, and for a folder ``nowhere`` the error of the published one."""
    published = sources.source_of(name)

    def source(root: Path, test_digits: str | None = None) -> ImageSet:
        return published(root) if root.name == "nowhere" else small(name)

    return source


def no_network(*_: object, **__: object) -> None:
    raise OSError("Name or service not known")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registries: None) -> Iterator[Path]:
    """Return a folder in which the commands of a page can run, as the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    monkeypatch.setattr("mnist_zoo.inference.export.TIMED", 0.01)
    monkeypatch.setattr("torchvision.datasets.MNIST", no_network)
    for name in REPLACED:
        monkeypatch.setitem(sources._SOURCES, name, stand_in(name))
    handler, root, modules = signal.getsignal(signal.SIGTERM), logging.getLogger(), set(sys.modules)
    handlers, level = root.handlers[:], root.level
    write_files()
    yield tmp_path
    signal.signal(signal.SIGTERM, handler)
    root.handlers[:], root.level = handlers, level
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write_files() -> None:
    """Write the files that the pages name as the reader's own."""
    data = small("mnist5k")
    images, labels = data.train_images, data.train_labels
    for folder in ("photos", "more", "data", *(f"my_digits/{digit}" for digit in range(10)), "my_conf/experiment"):
        Path(folder).mkdir(parents=True)
    for number in range(60):
        Image.fromarray(images[number]).save(f"my_digits/{labels[number]}/{number}.png")
    large = [Image.fromarray(255 - images[number]).resize((112, 112)) for number in range(3)]
    for name, picture in zip(("photos/first.png", "more/second.png", "digit.png"), large, strict=True):
        picture.save(name)
    Image.fromarray(np.concatenate([np.asarray(picture) for picture in large], axis=1)).save("year.jpg")
    np.save("data/images.npy", np.concatenate([images] * 4))
    np.save("data/labels.npy", np.concatenate([labels] * 4))
    np.savez("pathmnist.npz", x_train=images, y_train=labels, x_test=data.test_images, y_test=data.test_labels)
    for name in ("train.csv", "mine.csv"):
        rows = np.column_stack([labels[:300], images[:300].reshape(300, -1)])
        header = ",".join(["label", *(f"pixel{number}" for number in range(784))])
        np.savetxt(name, rows, "%d", ",", header=header, comments="")
    Path("mine").mkdir()
    Path("mine/net.py").write_text(
        "from torch import nn\n"
        "from mnist_zoo import register_model\n\n"
        '@register_model("my_net")\n'
        "def my_net(num_classes=10, in_chans=1):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * 784, num_classes))\n"
    )
    Path("my_conf/experiment/mine.yaml").write_text("# @package _global_\ndefaults:\n  - override /model: mlp\n")
    shutil.copy(ROOT / "conf/search/dropout.yaml", "space.yaml")
    shutil.copy(ROOT / "mnist_zoo/report/published.csv", "my.csv")


# -- running ------------------------------------------------------------------------------------------------------


def shortened(words: Sequence[str]) -> list[str]:
    """Return a command of a page with the placeholders filled in, and its training cut to one epoch."""
    words = [
        re.sub(r"outputs/runs/<folder>|^RUN$", MADE, word).replace("outputs/sweeps/<name>", SWEEP) for word in words
    ]
    module, rest = words[2], words[3:]
    if module == "mnist_zoo" and trains(rest):
        rest = [*without_epochs(rest), "epochs=1", "logger=none"]
        named = [word.removeprefix("experiment=") for word in rest if word.startswith("experiment=")]
        if "-m" in rest and named and not any(word.startswith("sweep=") for word in rest):
            rest.append(f"sweep={named[0]}")  # its name without the two words above
    if "experiment=robust" in rest:
        rest.append("adversary.warmup=0")  # its four epochs do not fit into one
    if any(word == "experiment=fractions" or word.startswith("data.epoch_images=") for word in rest):
        rest = [*(word for word in rest if not word.startswith("data.epoch_images=")), "data.epoch_images=300"]
    if module == "mnist_zoo" and "-m" in rest:
        most = 1 if any(word.startswith("experiment=") for word in rest) else 2  # experiments are sweeps themselves
        rest = [few_values(word, most) for word in rest]
    if module == "mnist_zoo.search":
        rest = [*(word for word in without_epochs(rest) if not word.startswith("trials=")), "epochs=1", "trials=2"]
    if module == "mnist_zoo.versus":
        rest = ["epochs=1", *without_epochs(rest), "--max-seeds=4", *(["--trials=2"] if "--trials" in rest else [])]
    rest += {"mnist_zoo.lr_find": ["--steps=20"], "mnist_zoo.evaluate": ["--images=20"]}.get(module, [])
    return [*words[:3], *rest]


def without_epochs(words: Sequence[str]) -> list[str]:
    """Return the words without the number of epochs."""
    return [word for word in words if not word.startswith("epochs=")]


def few_values(word: str, most: int) -> str:
    """Return a word of a sweep with its first values: ``seed=0,1,2`` becomes ``seed=0,1``."""
    key, _, value = word.partition("=")
    listed = set("[]'\"{}") & set(value) or key == "data.fold"
    return word if listed else f"{key}={','.join(value.split(',')[:most])}" if value else word


def trains(words: Sequence[str]) -> bool:
    """Return whether a command begins to train networks: no help, no continued run, not classical models alone."""
    if "--help" in words or "experiment=classical" in words or any(word.startswith("resume=") for word in words):
        return False
    names = [name for word in words if word.startswith("model=") for name in word[6:].split(",")]
    return not names or not set(names) <= {*CLASSICAL} - {"cnn_svm"}


def call(words: Sequence[str]) -> tuple[int | str | None, str]:
    """Run ``python -m MODULE WORDS`` in this process; return the exit status, and stdout and stderr together."""
    assert words[1] == "-m", words
    name = words[2]
    package = importlib.import_module(name)
    module = importlib.import_module(f"{name}.__main__") if hasattr(package, "__path__") else package
    said = io.StringIO()
    before = sys.argv
    sys.argv = [name, *words[3:]]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            module.main()
        status: int | str | None = 0
    except SystemExit as end:
        status = end.code
    finally:
        sys.argv = before
    return status or 0, said.getvalue()


def run_bash(text: str) -> None:
    for words in commands(text):
        if words[1:3] != ["-m", "pytest"] and words[1] != "docs/build.py":  # tests of their own
            status, said = call(shortened(words))
            assert status == 0, f"{shlex.join(shortened(words))}\n{said[-3000:]}"


def run_console(text: str) -> None:
    """Compare what a command prints with the page; ``...`` on the page stands for any text."""
    first, _, expected = re.sub(r"^.*: loading PyTorch \.\.\.\n", "", text, flags=re.M).partition("\n")
    status, said = call(shlex.split(first.removeprefix("$ ")))  # PyTorch is loaded here: that line is not printed
    pattern = re.sub(r"([\[*?])", r"[\1]", expected).replace("...", "*")
    assert fnmatch.fnmatchcase(said, pattern), said
    assert ("error: " in expected) == (status == 1)


def run_python(text: str) -> str:
    """Run a snippet, or write the module that its first line names; return what it prints."""
    name = re.match(r"# (\S+\.py)\n", text)
    if name:
        Path(name[1]).parent.mkdir(parents=True, exist_ok=True)
        Path(name[1]).write_text(text)
        importlib.invalidate_caches()
        return ""
    text = text.replace("outputs/runs/<folder>", MADE)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(text, "snippet", "exec"), {"__name__": "snippet"})
    return said.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the finished run and the sweep of the pages are kept once they were trained."""
    return tmp_path_factory.mktemp("made")


def bring_runs(made: Path) -> None:
    """Bring the finished run and the sweep into the current folder; they are trained for the first page."""
    if not list(made.iterdir()):
        small_run = ["model=cnn", "data=mnist", "epochs=1", "logger=none"]
        for words in (
            [*small_run, f"hydra.run.dir={MADE}"],
            ["-m", "sweep=seeds", "model=cnn,cnn_dropout", "seed=0,1", "epochs=1", "logger=none"],
        ):
            status, said = call(["python", "-m", "mnist_zoo", *words])
            assert status == 0, said
        shutil.copytree("outputs", made / "outputs")
    shutil.copytree(made / "outputs", "outputs", dirs_exist_ok=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_from_top_to_bottom(page, here, made):
    bring_runs(made)
    printed = ""
    for block in blocks(page):
        if block.reason:
            continue
        if block.language == "bash":
            run_bash(block.text)
        elif block.language == "console":
            run_console(block.text)
        elif block.language == "python":
            printed = run_python(block.text)
        elif block.language == "text" and printed:
            assert printed == block.text
            printed = ""
    states = {str(run): read_status(run)["state"] for run in find_runs(["outputs"])}
    assert [run for run, state in states.items() if state not in ("finished", "failed")] == []
