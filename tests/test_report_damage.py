"""The report and damaged or hostile run folders: each is named and left out, and none chooses what is opened."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic_runs import write_runs
from test_report import LABELS, write_run

from mnist_zoo.data import sources
from mnist_zoo.errors import InputError
from mnist_zoo.plots.tables import escape
from mnist_zoo.report import __main__ as report
from mnist_zoo.report import page, read_runs, write_report
from mnist_zoo.report.datasets import load_data
from mnist_zoo.report.ensembles import CANDIDATES
from mnist_zoo.report.networks import RELIABILITY_LINES
from mnist_zoo.report.sections import MOST_ROWS
from mnist_zoo.report.studies import read_trials
from mnist_zoo.runs import Damaged, DamagedFile, predictions
from mnist_zoo.runs.records import METRICS
from results.__main__ import main as results


@pytest.fixture(autouse=True)
def no_drawing(request, monkeypatch) -> None:
    """Let plots be one pixel, since drawing takes most of the time. The slow tests draw."""
    if "slow" not in request.keywords:
        monkeypatch.setattr(page, "png", lambda figure: _dot())


def _dot() -> bytes:
    """Return a PNG of one pixel."""
    picture = io.BytesIO()
    Image.new("RGB", (1, 1)).save(picture, format="PNG")
    return picture.getvalue()


# -- damage ------------------------------------------------------------------------------------------------------------

WRONG_VALUES = ("text", None, True, -1, 7.5, [], {}, [[[[]]]], float("nan"), float("inf"), 10**400, "\ud800")
DEEP = "[" * 100_000


def change(file: Path, **fields) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def damages() -> list:
    """Return ``(file, change of its path, id)`` for each way to damage a run folder."""
    cases: list = []
    for key, valid in METRICS.required.items():
        cases += [
            ("metrics.json", lambda path, key=key, value=value: change(path, **{key: value}), f"{key}-{value!r:.20}")
            for value in WRONG_VALUES
            if not valid(value)
        ]
    contradictions = {"n_test": 7, "n_val": 7, "test_acc": 0.5, "val_acc": 0.9}
    for key, value in contradictions.items():
        cases.append(("metrics.json", lambda path, key=key, value=value: change(path, **{key: value}), f"other {key}"))
    texts = {"empty": "", "cut": '{"a": ', "list": "[]", "deep": DEEP, "binary": "\x00\x01"}
    for file in ("metrics.json", "status.json", "curves.csv", ".hydra/overrides.yaml"):
        for name, text in texts.items():
            if (file, name) not in ((".hydra/overrides.yaml", "empty"), (".hydra/overrides.yaml", "list")):
                cases.append((file, lambda path, text=text: path.write_text(text), f"{file} {name}"))
        cases.append((file, lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()), f"{file} other encoding"))
        cases.append((file, lambda path: (path.unlink(), os.mkfifo(path)), f"{file} pipe"))
    cases.append(("status.json", lambda path: change(path, state=5), "state"))
    cases.append(("curves.csv", lambda path: path.write_text(path.read_text().replace("0.9", "9")), "accuracy 9"))
    cases += [
        ("predictions.npz", lambda path, size=size: path.write_bytes(path.read_bytes()[:size]), f"{size} bytes")
        for size in (0, 1, 100, 5_000, 15_000)
    ]
    cases.append(("predictions.npz", lambda path: path.unlink(), "no predictions"))
    return [pytest.param(file, how, id=name) for file, how, name in cases]


@pytest.fixture
def three_good(tmp_path) -> Path:
    for seed in (0, 1, 2):
        write_run(tmp_path / "runs" / f"good{seed}", seed=seed, wrong=range(3 + seed))
    write_run(tmp_path / "runs" / "other", model="cnn")
    return tmp_path / "runs"


@pytest.mark.parametrize(("file", "damage"), damages())
def test_a_damaged_run_is_named_once_and_left_out(three_good, file, damage, capsys):
    damage(three_good / "other" / file)
    damaged = Damaged()
    runs = read_runs([three_good], damaged)
    assert [path.name for path in runs.table["folder"]] == ["good0", "good1", "good2"]
    (folder,) = damaged.folders
    assert folder == three_good / "other"
    ((skipped, reason),) = runs.skipped
    assert skipped == folder and reason.startswith("damaged: ")
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(folder) in said


def test_a_flipped_byte_of_predictions_is_found_or_changes_nothing(three_good):
    whole = read_runs([three_good]).table.set_index("folder")
    path = three_good / "other" / "predictions.npz"
    content, places = path.read_bytes(), random.Random(0)
    for place in places.sample(range(len(content)), 40):
        path.write_bytes(content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
        table = read_runs([three_good]).table.set_index("folder")
        if path.parent in table.index:
            for column in ("predicted", "labels", "ece"):
                assert np.array_equal(table.loc[path.parent, column], whole.loc[path.parent, column]), place


def test_the_page_is_written_for_the_other_runs_and_the_command_fails(three_good, monkeypatch, capsys):
    change(three_good / "other" / "metrics.json", val_acc=7)
    monkeypatch.setattr("sys.argv", ["report", str(three_good)])
    with pytest.raises(SystemExit) as stopped:
        report.main()
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 2 and "val_acc is 7" in said.err and "1 damaged folder" in said.err
    text = (three_good / "report" / "report.md").read_text()
    assert "3 finished runs of 1 configuration" in text and "- other: damaged: metrics.json: val_acc is 7" in text
    assert "cnn" not in text, "neither in a table nor in an ensemble"


def test_collect_keeps_the_other_runs_and_fails(three_good, tmp_path, capsys):
    change(three_good / "other" / "metrics.json", test_acc=float("nan"))
    with pytest.raises(SystemExit) as stopped:
        results(["--results", str(tmp_path / "csv"), "collect", str(three_good)])
    assert stopped.value.code == 1
    rows = (tmp_path / "csv" / "zoo.csv").read_text()
    assert rows.count("\n") == 4 and "cnn" not in rows
    assert "test_acc is nan" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "model\n1\n", "a,b\n1,2,3\n"])
def test_collect_answers_damaged_results_in_one_line(three_good, tmp_path, capsys, content):
    (tmp_path / "zoo.csv").write_text(content)
    with pytest.raises(SystemExit) as stopped:
        results(["--results", str(tmp_path), "collect", str(three_good)])
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and said.count("\n") == 1 and "zoo.csv is damaged" in said
    assert (tmp_path / "zoo.csv").read_text() == content, "it is not overwritten"


# Values that the readers accept, and that plots and tables must survive.
EXTREMES = [
    *({key: 0} for key in ("num_params", "flops", "lr", "fit_seconds", "train_images_per_second", "epochs_run")),
    *({key: 1e308} for key in ("lr", "fit_seconds", "train_loss", "val_loss", "train_images_per_second")),
    {"model": "$a$ <b> " * 500},
    {"model": "", "data": "", "device": ""},
    {"augment": {"rotate": [1], "flip": {"a": 1}}},
    {"optimizer": {}, "scheduler": {"name": None}, "model_options": {"a": {"b": {"c": 1}}}},
]


@pytest.mark.slow
@pytest.mark.parametrize("fields", EXTREMES, ids=[f"{fields}"[:40] for fields in EXTREMES])
def test_extreme_values_do_not_stop_the_report(three_good, fields):
    change(three_good / "other" / "metrics.json", **fields)
    write_report([three_good])


TRIALS = "number,value,params_lr,state\n0,0.985,0.01,COMPLETE\n1,,0.1,FAIL\n"
NO_TRIALS = {
    "empty": "",
    "columns": "a,b\n1,2\n",
    "value": TRIALS.replace("0.985", "7"),
    "text": TRIALS.replace("0.985", "high"),
    "infinite": TRIALS.replace("0.985", "inf"),
    "state": TRIALS.replace("FAIL", "<b>"),
    "number": TRIALS.replace("1,,", "0,,"),
    "large": TRIALS.replace("1,,", f"{10**30},,"),
    "ragged": TRIALS + "1,2,3,4,5,6,7\n",
    "no value": TRIALS.replace("0.985", ""),
    "zero": "\0" * 100,
}


@pytest.mark.parametrize("text", NO_TRIALS.values(), ids=NO_TRIALS.keys())
def test_a_damaged_table_of_trials_is_refused(tmp_path, text):
    (tmp_path / "trials.csv").write_text(TRIALS)
    assert len(read_trials(tmp_path)) == 2
    (tmp_path / "trials.csv").write_text(text)
    with pytest.raises(DamagedFile):
        read_trials(tmp_path)


def test_damaged_files_of_a_study_are_left_out(tmp_path, monkeypatch, capsys):
    study, secret = tmp_path / "study", tmp_path / "secret.png"
    write_run(study / "trials" / "0")
    (study / "trials.csv").write_text(TRIALS)
    Image.new("RGB", (4, 4)).save(secret)
    (study / "history.png").symlink_to(secret)
    (study / "slices.png").write_bytes(secret.read_bytes()[:40])
    (study / "curves.png").write_text("not an image")
    Image.new("RGB", (4, 4)).save(study / "importances.png")
    with (study / "importances.png").open("ab") as file:
        file.write(b"<script>hidden</script>")
    monkeypatch.setattr("sys.argv", ["report", str(study)])
    with pytest.raises(SystemExit) as stopped:
        report.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and "history.png is damaged (it is not a regular file)" in said
    shown = {path.name.partition("-")[2][2:] for path in (study / "report" / "figures").iterdir()}
    assert {"importances.png"} == shown & {"importances.png", "history.png", "slices.png", "curves.png"}
    (copy,) = (study / "report" / "figures").glob("*importances.png")
    assert b"hidden" not in copy.read_bytes(), "only the pixels"


# -- what a run folder may not do --------------------------------------------------------------------------------------

SCRIPT = "<script>alert(1)</script>"
HOSTILE = f"{SCRIPT}<img src=x onerror=a> [a](javascript:b) `c` **d** | $x$ \x1b[31m \u202e </td> \\"


def test_texts_of_run_folders_are_escaped(tmp_path):
    place = tmp_path / "a<img src=x>"
    fields = {"device": HOSTILE, "versions": {"torch": HOSTILE}, "data": HOSTILE}
    for seed in (0, 1):
        write_run(place / f"{seed}", seed=seed, **fields)
        write_run(place / f"m{seed}", seed=seed, model=HOSTILE, experiment="<b>", wrong=range(3), **fields)
    write_run(place / "<img src=y>", state="failed")
    change(place / "<img src=y>" / "status.json", reason=HOSTILE)
    study = place / "[s](javascript:t)<img>"
    write_run(study / "trials" / "0", seed=5, **fields)
    (study / "trials.csv").write_text(f'number,value,"params_{SCRIPT}",state\n0,0.985,"{SCRIPT}",COMPLETE\n')
    html = write_report([place], tmp_path / "out").read_text()
    markdown = (tmp_path / "out" / "report.md").read_text()
    for text in (html, markdown):
        assert "alert(1)" in text and "src=x" in text and "src=y" in text, "the texts are shown"
        assert "<script>alert" not in text and "<img src=x" not in text and "<img src=y" not in text
        assert "\x1b" not in text and "\u202e" not in text
    assert html.count("<script") == 2, "the data and the script of the page"
    assert html.count("<img") == html.count('<img src="data:image/png;base64,')
    assert "](javascript" not in markdown.replace("\\](", "")
    figures = [line for line in markdown.splitlines() if line.startswith("![")]
    assert all("](figures/" in line for line in figures)


MARKUP = [
    ("cnn_2dense lr=0.001, p < 0.05 & more", "cnn_2dense lr=0.001, p < 0.05 & more"),
    ("<b>", "&lt;b>"),
    ("&lt;", "&amp;lt;"),
    ("[a](b)", "[a\\](b)"),
    ("[a]: b", "[a\\]: b"),
    ("[120,84]", "[120,84]"),
    ("\\[a](b)", "\\\\[a\\](b)"),
    ("**a** _b_ `c` ~~d~~", "\\*\\*a\\*\\* \\_b\\_ \\`c\\` \\~\\~d\\~\\~"),
    ("# a", "&#35; a"),
    ("- a", "&#45; a"),
    ("1. a", "&#49;. a"),
    ("---", "&#45;--"),
    ("-0.41", "-0.41"),
    ("0.01", "0.01"),
    ("-", "-"),
]


@pytest.mark.parametrize(("text", "escaped"), MARKUP)
def test_markdown_shows_a_text_as_it_is(text, escaped):
    assert escape(text) == escaped


@pytest.fixture
def secret(tmp_path) -> Path:
    """Return a CSV file of images that a hostile run folder would like to show."""
    rows = [[label % 10, *([label] * 784)] for label in range(200)]
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    path = tmp_path / "secret" / "images.csv"
    path.parent.mkdir()
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def run_on_csv(folder: Path, path: Path, **settings) -> Path:
    """Write a run whose config names a CSV file, with the fingerprint of its images."""
    from mnist_zoo.data import MNISTDataModule

    data = MNISTDataModule("csv", train_csv=str(path), test_csv=str(path), val_size=20)
    labels = data.labels("test").numpy()
    write_run(folder, data="csv", data_fingerprint=data.fingerprint, wrong=range(5))
    assert np.array_equal(labels, LABELS)
    config = {"data": {"name": "csv", "train_csv": str(path), "test_csv": str(path), "val_size": 20} | settings}
    (folder / ".hydra" / "config.yaml").write_text(json.dumps(config))
    return folder


def test_a_run_folder_does_not_choose_which_images_are_shown(tmp_path, secret):
    folder = run_on_csv(tmp_path / "run", secret)
    text = write_report([folder]).with_suffix(".md").read_text()
    assert "No images shown: data.train" in text and "--data-root DIR" in text
    (run,) = (run for _, run in read_runs([folder]).table.iterrows())
    assert len(load_data(run, secret.parent).labels("test")) == 200, "with the user's permission"


REFUSED_CONFIGS = [  # settings of data in a run's config, the error
    ({"filters": {"blur": 10**6}}, "data.filters.blur=1000000"),
    ({"val_size": "../../x"}, "data.val_size=../../x"),
    ({"split_seed": 1e300}, "data.split_seed="),
    ({"train_fraction": []}, "train_fraction"),
    ({"unknown": 1}, "unknown"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED_CONFIGS, ids=[row[1] for row in REFUSED_CONFIGS])
def test_a_config_of_a_run_folder_is_checked(tmp_path, secret, settings, message):
    folder = run_on_csv(tmp_path / "run", secret, **settings)
    (run,) = (run for _, run in read_runs([folder]).table.iterrows())
    with pytest.raises(InputError) as error:
        load_data(run, secret.parent)
    assert message in str(error.value)


def test_a_run_folder_imports_nothing_and_downloads_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.setattr("torchvision.datasets.MNIST", lambda *_, **__: pytest.fail("downloads"))
    folder = write_run(tmp_path / "run", wrong=range(3))
    config = {"data": {"name": "mnist", "root": str(tmp_path)}, "plugins": ["hostile_module"]}
    (folder / ".hydra" / "config.yaml").write_text(json.dumps(config))
    text = write_report([folder]).with_suffix(".md").read_text()
    assert "hostile_module" not in sys.modules
    assert "No images shown: MNIST is not in data/MNIST/raw (if the files are elsewhere: --data-root DIR)" in text


def test_a_data_set_of_a_plugin_is_shown_if_the_user_names_the_module(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "_SOURCES", dict(sources._SOURCES))
    (tmp_path / "report_plugin.py").write_text(
        "import numpy as np\n"
        "from mnist_zoo.data import ImageSet, register_dataset\n"
        "images, labels = np.zeros((200, 28, 28), np.uint8), np.arange(200) % 10\n"
        "@register_dataset('report_set')\n"
        "def report_set(root, shade=0):\n"
        "    return ImageSet(images + shade, labels, images, labels)\n"
    )
    folder = write_run(tmp_path / "run", wrong=range(3), data="report_set")
    config = {"data": {"name": "report_set", "val_size": 20, "shade": 3}}
    (folder / ".hydra" / "config.yaml").write_text(json.dumps(config))
    monkeypatch.setattr("sys.argv", ["report", "run"])
    report.main()
    assert "--plugin MODULE" in Path("run/report/report.md").read_text()
    from mnist_zoo.plugins import import_plugin

    import_plugin("report_plugin")
    from mnist_zoo.data import MNISTDataModule

    change(folder / "metrics.json", data_fingerprint=MNISTDataModule("report_set", val_size=20, shade=3).fingerprint)
    monkeypatch.setattr("sys.argv", ["report", "run", "--plugin", "report_plugin"])
    report.main()
    assert "most confident" in Path("run/report/report.md").read_text()
    assert "report: run/report/report.html" in capsys.readouterr().out


@pytest.mark.parametrize("link", ["report", "report/figures", "report/report.md", "report/runs.csv"])
def test_a_link_in_a_run_folder_does_not_choose_what_is_overwritten(tmp_path, link):
    folder = write_run(tmp_path / "run")
    (folder / link).parent.mkdir(exist_ok=True)
    target = tmp_path / "target"
    if Path(link).suffix:
        target.write_text("mine")
    else:
        target.mkdir()
    (folder / link).symlink_to(target)
    with pytest.raises(InputError, match=r"is a symbolic link: remove it, or choose another folder with --out DIR"):
        write_report([folder])
    assert target.read_text() == "mine" if target.is_file() else not list(target.iterdir())


# -- the command -------------------------------------------------------------------------------------------------------

EMPTY = [["run", "--out", ""], ["run", "--data-root", " "], [""]]


@pytest.mark.parametrize("arguments", EMPTY, ids=["out", "data-root", "folder"])
def test_an_empty_path_is_one_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    monkeypatch.setattr("sys.argv", ["report", *arguments])
    with pytest.raises(SystemExit) as stopped:
        report.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and said.count("\n") == 1 and "is empty: name a folder" in said


@pytest.mark.parametrize("found", [True, False])
def test_open_shows_the_page_or_says_that_there_is_no_browser(found, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or found)
    monkeypatch.setattr("mnist_zoo.report.command.write_report", lambda *_: tmp_path / "report.html")
    monkeypatch.setattr("sys.argv", ["report", "run", "--open"])
    report.main()
    assert opened == [(tmp_path / "report.html").as_uri()]
    assert ("there is no browser here" in capsys.readouterr().out) is not found


def test_a_full_disk_is_one_line(tmp_path, monkeypatch, capsys):
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    write_run(tmp_path / "run")
    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr("sys.argv", ["report", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as stopped:
        report.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and said.count("\n") == 1 and "No space left on device" in said


# -- many runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_predictions_are_read_once_and_long_tables_are_cut(tmp_path, monkeypatch):
    runs = write_runs(tmp_path / "runs", configurations=22, seeds=2, images=60, epochs=2)
    opened = []
    archive = predictions.ZipFile
    monkeypatch.setattr(predictions, "ZipFile", lambda path: opened.append(path) or archive(path))
    out = write_report([runs], tmp_path / "out").parent
    assert len(set(opened)) == 44 and len(opened) <= 44 + CANDIDATES + RELIABILITY_LINES + 1
    text, pairs = (out / "report.md").read_text(), 22 * 21 // 2
    assert f"The first {MOST_ROWS} of {pairs} rows; significance.csv has all." in text
    assert (out / "significance.csv").read_text().count("\n") == pairs + 1
    assert (out / "runs.csv").read_text().count("\n") == 45


@pytest.mark.slow
@pytest.mark.parametrize(("configurations", "seeds"), [(20, 100), (400, 5)])
def test_a_report_of_2000_runs_is_complete(tmp_path, configurations, seeds):
    """Less than 30 s where nothing else runs. The bound leaves room for slow machines."""
    runs = write_runs(tmp_path / "runs", configurations, seeds)
    started = time.process_time()
    out = write_report([runs], tmp_path / "out").parent
    assert time.process_time() - started < 90  # seconds of CPU time: this finds what grows with the square of the runs
    assert (out / "runs.csv").read_text().count("\n") == 2001
    assert (out / "report.html").stat().st_size < 20_000_000
    shutil.rmtree(runs)
