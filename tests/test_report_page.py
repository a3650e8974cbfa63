"""The HTML page of the report: first screen, terms, content-security policy, and the scripts in a browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from synthetic_runs import write_runs
from test_report import write_run

from mnist_zoo import machine
from mnist_zoo.plots.style import COLOURS, looks
from mnist_zoo.plots.tables import escape
from mnist_zoo.report import compare, gallery, group_by_images, live, read_runs, write_report
from mnist_zoo.report import every_run as every
from mnist_zoo.report.comparison import beside_papers, comparison
from mnist_zoo.report.every_run import MOST_ERRORS, epoch_rows, every_run
from mnist_zoo.report.exploring import page_data, setting
from mnist_zoo.report.page import Page
from mnist_zoo.report.rendering import REFRESH, embedded
from mnist_zoo.report.sections import MOST_EMBEDDED, MOST_ROWS, Block, Section
from mnist_zoo.report.summary import commands, short_names, training_state, trainings_sentence
from mnist_zoo.report.tables import count_confusions
from mnist_zoo.report.terms import TERMS, explanation, identifier, linked
from mnist_zoo.report.testsets import TestSet
from mnist_zoo.report.verdicts import against_papers
from mnist_zoo.report.writing import Output
from mnist_zoo.runs import CURVE_COLUMNS, RunFolder
from mnist_zoo.runs.status import RunStatus

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Return the page of 3 configurations with 2 seeds each."""
    folder = tmp_path_factory.mktemp("report")
    return write_report([write_runs(folder / "runs", 3, 2, images=300, epochs=3)], folder / "out")


def data_of(page: Path) -> dict:
    """Return the data that the scripts of a page read."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(text)


# -- the first screen --------------------------------------------------------------------------------------------------


def test_the_first_screen_answers_before_any_table(page):
    html, text = page.read_text(), page.with_suffix(".md").read_text()
    first = html[: html.index("<table")]
    for words in (
        "is best on validation",
        "of the 2 others (95 % level",
        "MFLOP",
        "6 finished runs of 3 configurations",
        "Trained on 2026-11-22",
        "whose commit is not recorded",
        "python -m mnist_zoo -m model=cnn,lenet5,mlp lr=0.001 seed=0,1 data=mnist",
        "python -m mnist_zoo.report",
        "best configuration",
    ):
        assert words in re.sub(r"<a class=\"term\"[^>]*>|</a>", "", first), words
    assert text.index("is best on validation") < text.index("## Comparison")
    assert "test accuracy: " in text and "-accuracies.png)" in text


CURVES = [  # validation losses, training losses, state
    ([0.5, 0.4, 0.3], [0.5, 0.4, 0.3], "not converged"),
    ([0.5, 0.3, 0.299], [0.5, 0.4, 0.3], ""),
    ([0.5, 0.3, 0.35], [0.5, 0.4, 0.3], "overfit"),
    ([0.5, 0.3, 0.32], [0.5, 0.4, 0.3], ""),
    ([0.5, 0.3, 0.35], [0.5, 0.4, 0.45], ""),
    ([0.5], [0.5], ""),
    ([], [], ""),
]


@pytest.mark.parametrize(("val", "train", "state"), CURVES)
def test_a_run_is_said_to_have_overfit_or_not_converged_by_its_losses(val, train, state):
    rows = np.zeros((len(val), len(CURVE_COLUMNS)))
    rows[:, CURVE_COLUMNS.index("val_loss")] = val
    rows[:, CURVE_COLUMNS.index("train_loss")] = train
    assert training_state(rows) == state


TRAININGS = [  # validation losses of each run, the sentence
    ([[0.5, 0.4, 0.3]], ["The run had not converged."]),
    ([[0.5, 0.3, 0.299]], ["The run had converged and did not overfit, by the validation loss."]),
    ([[0.5, 0.3, 0.35]], ["The run overfit: its validation loss rose again."]),
    ([[0.5, 0.3, 0.299], [0.5, 0.3, 0.3]], ["Each run had converged, and none overfit, by the validation loss."]),
    ([[0.5, 0.4, 0.3], [0.5, 0.3, 0.3]], ["1 of 2 runs had not converged (cnn)."]),
    ([[0.5], []], []),  # one epoch, and a classical model
]


@pytest.mark.parametrize(("losses", "sentence"), TRAININGS)
def test_the_answer_says_how_trainings_ended_if_they_have_several_epochs(losses, sentence):
    curves = [np.zeros((len(each), len(CURVE_COLUMNS))) for each in losses]
    for rows, values in zip(curves, losses, strict=True):
        rows[:, CURVE_COLUMNS.index("val_loss")] = values
        rows[:, CURVE_COLUMNS.index("train_loss")] = np.linspace(0.5, 0.3, len(values))
    assert trainings_sentence(pd.DataFrame({"curves": curves, "label": "cnn"})) == sentence


def test_a_grid_is_one_command_and_other_runs_are_one_each():
    grid = [["model=cnn", f"lr={lr}", f"seed={seed}"] for lr in (0.1, 0.2) for seed in (0, 1)]
    table = pd.DataFrame({"folder": [Path("s") / str(n) for n in range(5)]})
    table["overrides"] = [*grid, grid[0]]
    assert commands(table[:4]) == ["python -m mnist_zoo -m model=cnn lr=0.1,0.2 seed=0,1"]
    assert commands(table[1:4]) == [
        "python -m mnist_zoo model=cnn lr=0.1 seed=1",
        "python -m mnist_zoo model=cnn lr=0.2 seed=0",
        "python -m mnist_zoo model=cnn lr=0.2 seed=1",
    ]
    table["overrides"] = [["sweep=$(rm x)"]] * 5
    assert commands(table) == ["python -m mnist_zoo -m 'sweep=$(rm x)'"]
    table["overrides"] = [["lr=1", "sweep='x y'"]] * 5  # as a sweep hands its name to its jobs
    assert commands(table) == ["python -m mnist_zoo -m lr=1 'sweep=x y'"]
    assert commands(table[:1]) == ["python -m mnist_zoo lr=1"], "a single run has no use for it"


@pytest.mark.parametrize("kind", ["loose", "packed", "detached", "worktree", "none"])
def test_the_commit_of_a_checkout_is_recorded(tmp_path, kind):
    commit, git = "a" * 40, tmp_path / ".git"
    if kind == "worktree":
        git = tmp_path / "main" / ".git" / "worktrees" / "one"
        (tmp_path / ".git").write_text(f"gitdir: {git}\n")
    if kind != "none":
        git.mkdir(parents=True)
        (git / "HEAD").write_text(commit if kind == "detached" else "ref: refs/heads/main\n")
    if kind == "packed":
        (git / "packed-refs").write_text(f"# pack-refs\n{commit} refs/heads/main\n")
    shared = git
    if kind == "worktree":
        (git / "commondir").write_text("../..\n")
        shared = tmp_path / "main" / ".git"
    if kind in ("loose", "worktree"):
        (shared / "refs" / "heads").mkdir(parents=True)
        (shared / "refs" / "heads" / "main").write_text(f"{commit}\n")
    assert machine.commit(tmp_path) == (None if kind == "none" else commit)


def test_a_model_has_one_colour_in_every_plot():
    found = looks(["cnn lr=1", "mlp", "cnn lr=2", "cnn lr=3"])
    assert {found[label].colour for label in ("cnn lr=1", "cnn lr=2", "cnn lr=3")} == {COLOURS[0]}
    assert len(set(found.values())) == 4 and found["mlp"].colour == COLOURS[1]
    assert [look.colour for look in looks(["cnn lr=1", "cnn lr=2"]).values()] == [COLOURS[0], COLOURS[1]]


# -- terms -------------------------------------------------------------------------------------------------------------


def test_terms_are_explained_on_hover_at_the_end_of_the_page_and_in_the_docs(page):
    html, docs = page.read_text(), (ROOT / "docs" / "terms.md").read_text()
    for term, about in TERMS.items():
        assert f'<dt id="{identifier(term)}">' in html
        assert f"- **{term}**: {about}\n" in docs
    for term in ("95 % interval", "Holm", "McNemar", "MFLOP", "ECE"):
        assert f'href="#{identifier(term)}"' in html or f'title="{TERMS[term]}"' in html


def test_only_the_first_use_of_a_term_is_a_link_and_all_else_is_escaped():
    html = str(linked("<b> ECE, ECE and seeds & confidences"))
    assert (
        html.startswith("&lt;b&gt; <a class=") and html.count("<a ") == 1 and html.endswith("seeds &amp; confidences")
    )
    assert explanation("ECE (%)") == TERMS["ECE"] and explanation("p") is None


# -- safety ------------------------------------------------------------------------------------------------------------


def test_the_policy_allows_the_style_and_script_of_the_page_and_nothing_from_outside(page):
    html = page.read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    policy = policy.replace("&#39;", "'")
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not re.search(r"\s(style|on\w+)=", re.sub(r"<(style|script)[^>]*>.*?</\1>", "", html, flags=re.DOTALL))


def test_data_cannot_end_the_element_that_holds_it():
    hostile = {"a": "</script><script>alert(1)</script>&amp;<!--"}
    assert "<" not in embedded(hostile) and json.loads(embedded(hostile)) == hostile
    with pytest.raises(ValueError, match="JSON"):
        embedded(float("nan"))


# -- what the scripts read ---------------------------------------------------------------------------------------------


def test_the_page_has_every_error_of_every_run(page):
    data, table = data_of(page), read_runs([page.parents[1] / "runs"]).table
    (images,) = data["sets"]
    assert len(data["runs"]) == len(table) == 6
    for run, (_, row) in zip(data["runs"], table.sort_values(["data", "label", "seed"]).iterrows(), strict=True):
        assert (run["name"], run["seed"]) == (row["folder"].name, row["seed"])
        errors = np.array(run["errors"]).reshape(-1, 3)
        numbers, true = np.array(images["images"])[:, errors[:, 0]]
        assert numbers.tolist() == np.flatnonzero(row["predicted"] != row["labels"]).tolist()
        found = np.diag(images["counts"]) - np.diag(np.bincount(true, minlength=10))
        np.add.at(found, (true, errors[:, 1]), 1)
        assert np.array_equal(found, count_confusions(row["labels"], row["predicted"], 10))
        assert errors[:, 2].tolist() == row["confidence"][numbers].tolist()
        assert run["command"].startswith(f"python -m mnist_zoo model={row['model']} ")


def test_the_page_has_the_numbers_settings_and_curves_of_every_configuration(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"a{seed}", seed=seed, lr=0.01, wrong=range(3 + seed))
        write_run(tmp_path / f"b{seed}", seed=seed, lr=0.02, scheduler={"name": "cosine"}, wrong=range(5))
    sets, _ = group_by_images(read_runs([tmp_path]).table)
    data = json.loads(json.dumps(page_data(sets), allow_nan=False))
    first, second = data["configurations"]
    assert first["settings"] == [["lr", "0.01", "0.02 (1)"], ["scheduler.name", "none", "cosine (1)"]]
    assert second["settings"] == [["lr", "0.02", "0.01 (1)"], ["scheduler.name", "cosine", "none (1)"]]
    assert data["shared"]["optimizer.name"] == "adam" and "lr" not in data["shared"]
    keys = [column["key"] for column in data["columns"]]
    row = compare(sets[0].table).iloc[0]
    assert first["values"][keys.index("test_acc")] == pytest.approx(100 * row["test_acc"], abs=1e-3)
    assert first["halves"][keys.index("test_acc")] == pytest.approx(100 * row["test_acc_half"], rel=1e-4)
    assert second["halves"][keys.index("test_acc")] == 0
    assert data["runs"][0]["curves"][data["curves"].index("val_acc")] == [0.85, 0.9]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "none"), (0.001, "0.001"), ([120, 84], "[120,84]"), ("adam", "adam"), (True, "true")]
)
def test_a_setting_is_shown_as_it_is_typed(value, text):
    assert setting(value) == text


@pytest.mark.parametrize(("count", "whole"), [(MOST_ROWS, True), (MOST_ROWS + 7, True), (MOST_EMBEDDED + 1, False)])
def test_the_scripts_have_the_rows_that_the_page_cuts(tmp_path, count, whole):
    frame = pd.DataFrame({"row": range(count)})
    page = Page(Output([tmp_path], None))
    page.add(Section("Rows", [Block("table", frame, "All.", "rows", frame)]))
    html = page.write("rows", [], [])
    shown = html.read_text().count('<td class="word">')
    rest = data_of(html)["tables"].get("01-1", [])
    assert shown == min(count, MOST_ROWS) and shown + len(rest) == min(count, MOST_EMBEDDED)
    cut = f"The first {MOST_ROWS} of {count:,} rows; rows.csv has all."
    assert (cut in html.read_text()) == (cut in html.with_suffix(".md").read_text()) == (count > MOST_ROWS)
    assert ('class="cut"' in html.read_text()) == (whole and count > MOST_ROWS), "the scripts show all rows then"


def test_published_numbers_collapse_if_none_is_comparable(tmp_path):
    asked = ["model=mlp", "lr=0.01"]
    for seed in range(3):
        write_run(tmp_path / str(seed), seed=seed, experiment="lr_sweep", overrides=asked, lr=0.01, data="mnist5k")
    table = read_runs([tmp_path]).table
    verdicts = against_papers([table])
    ((_, block),) = (section.blocks for section in beside_papers(verdicts))
    assert block.folded == f"Published numbers of these configurations: {len(verdicts)}, none of them comparable"
    assert "verdict" not in comparison(table, verdicts).blocks[0].content


# -- every run without scripts ---------------------------------------------------------------------------------------


def without_scripts(page: Path) -> str:
    """Return the part of a page that a browser shows only without scripts."""
    (part,) = re.findall(r"<noscript>\s*(<section id=.*?)</noscript>", page.read_text(), re.DOTALL)
    return part


def test_without_scripts_and_in_markdown_every_run_has_all_that_the_scripts_show(page):
    data, html, text = (
        data_of(page),
        without_scripts(page),
        page.with_suffix(".md").read_text().split("## Every run")[1],
    )
    own = dict(re.findall(r'<div id="run-(\d+)">(.*?)</details>', html, re.DOTALL))
    assert len(own) == len(data["runs"]) == text.count("- command: ") == 6
    for number, run in enumerate(data["runs"]):
        part = own[str(number)]
        for fact in [*run["facts"], run["name"], run["command"]]:
            assert fact in part and fact in text
        assert part.count("<polyline") == 4 and part.count("<tr>") == 1 + 3, "two plots; 3 epochs"
        assert f"<td>3</td><td>{run['curves'][0][2]:.4g}</td>" in part
        assert part.count("<li>") == min(MOST_ERRORS, len(run["errors"]) // 3)
    for label, key, value, others in [
        (each["label"], *row) for each in data["configurations"] for row in each["settings"]
    ]:
        assert f"<h3>{label}</h3>" in html and f"### {label}\n" in text
        assert f'<td class="word">{key}</td><td class="word">{value}</td><td class="word">{others}</td>' in html
        assert f"| {escape(key)} | {value} | {escape(others)} |" in text
    assert all(key in html and escape(key) in text for key in data["shared"])


def test_confusions_of_a_run_are_those_of_its_predictions(page):
    data, table = data_of(page), read_runs([page.parents[1] / "runs"]).table.set_index("folder")
    parts = [run for own in every_run(data)["configurations"] for run in own["runs"]]
    for part in parts:
        row = table.loc[page.parents[1] / "runs" / part["name"]]
        counts = count_confusions(row["labels"], row["predicted"], 10)
        words = [word.partition(": ") for word in part["confusions"].split("; ")]
        for pair, _, count in words:
            true, _, wrong = pair.partition(" as ")
            assert counts[int(true), int(wrong)] == int(count)
        assert sum(int(count) for _, _, count in words) == (row["labels"] != row["predicted"]).sum()


@pytest.mark.parametrize(
    ("epochs", "rows", "first"), [(0, 0, ""), (1, 1, "1"), (20, 20, "1"), (21, 11, "1"), (1000, 20, "50")]
)
def test_long_training_is_shown_in_few_epochs_with_the_last(epochs, rows, first):
    found = epoch_rows({"val_loss": [0.5] * epochs, "val_acc": [0.97531] * epochs})
    assert len(found) == rows and [row[0] for row in found[:1]] == [first][:rows]
    assert found[-1:] == [[str(epochs), "0.5", "97.53"]][:rows]


def test_pages_of_very_many_runs_say_that_some_have_no_part(page, monkeypatch):
    monkeypatch.setattr(every, "MOST_RUNS", 4)
    found = every.every_run(data_of(page))
    assert found["left_out"] == 2 and sum(len(own["runs"]) for own in found["configurations"]) == 4


def test_runs_of_one_name_are_told_apart_by_their_folders():
    assert short_names([Path("/a/s/0"), Path("/a/s/1")]) == ["0", "1"]
    assert short_names([Path("/a/s/0"), Path("/a/t/0"), Path("/a/t/1")]) == ["s/0", "t/0", "t/1"]


# -- images ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> TestSet:
    """Return 2 configurations with 2 seeds each, on 300 test images."""
    folder = write_runs(tmp_path_factory.mktemp("runs"), 2, 2, images=300, epochs=1)
    (found,), _ = group_by_images(read_runs([folder]).table)
    return found


def pictures(channels: int) -> np.ndarray:
    """Return 300 random test images ``(N, C, 4, 5)``."""
    return np.random.default_rng(0).integers(0, 256, (300, channels, 4, 5), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_that_a_run_gets_wrong_is_stored_once(runs, channels):
    images = pictures(channels)
    stored = gallery.sprite(runs, images, CLASSES)
    tiles = np.asarray(Image.open(io.BytesIO(stored.picture))).reshape(-1, 4, stored.across, 5, channels)
    tiles = tiles.transpose(0, 2, 4, 1, 3).reshape(-1, channels, 4, 5)
    assert stored.count == len(runs.missed) == np.count_nonzero((~runs.correct).any(axis=0)) > 0
    expected = images[runs.missed] if channels == 3 else 255 - images[runs.missed]
    assert np.array_equal(tiles[: stored.count], expected), "dark on white, those that most runs get wrong first"
    wrong = (~runs.correct).sum(axis=0)[runs.missed]
    assert (np.diff(wrong) <= 0).all() and wrong.min() > 0


def test_more_images_than_the_page_has_room_for_are_said_to_be_left_out(runs, monkeypatch):
    monkeypatch.setattr(gallery, "MOST_IMAGES", {1: 2})
    picture, shown = gallery.all_errors(runs, pictures(1), CLASSES)
    assert picture.content.count == len(shown.content.places) == 2
    assert "The page has the pictures of the 2 that most networks get wrong." in shown.caption
    chosen = runs.missed[[3, 1]]
    few = gallery.thumbnails(runs, chosen, pictures(1), ["a", "b"])
    assert (few.places, few.captions) == ([1], ["b"])


CLASSES = [str(number) for number in range(10)]


@pytest.fixture(scope="module")
def images_page(runs, tmp_path_factory) -> Path:
    page = Page(Output([tmp_path_factory.mktemp("images")], None))
    page.data |= page_data([runs])
    dot = io.BytesIO()
    Image.new("RGB", (1, 1)).save(dot, format="PNG")
    page.add(Section("Predictions", [Block("figure", dot.getvalue(), "Confusions.", "confusion")]), place=0)
    page.add(Section("Errors", gallery.all_errors(runs, pictures(1), CLASSES)), place=0)
    return page.write("images", [], [])


def test_without_scripts_the_first_images_are_there(runs, images_page):
    html = images_page.read_text()
    assert html.count("<image ") == 1 and html.count('href="data:image/png') == 1
    pattern = r'<svg viewBox="(\d+) (\d+) 5 4" role="img" aria-label="([^"]*)"><use href="#sprite-0"/>'
    shown = re.findall(pattern, html.replace(without_scripts(images_page), ""))
    assert len(re.findall(pattern, without_scripts(images_page))) == sum(
        min(MOST_ERRORS, count) for count in (~runs.correct).sum(axis=1)
    ), "the errors of each run"
    assert len(shown) == min(len(runs.missed), gallery.FIRST)
    first = runs.missed[0]
    wrong = int((~runs.correct[:, first]).sum())
    assert shown[0] == ("0", "0", f"true {runs.labels[first]}, as {(runs.labels[first] + 1) % 10}, {wrong} of 4")
    (file,) = re.findall(r"\]\((figures/[^)]*-errors.png)\)", images_page.with_suffix(".md").read_text())
    assert (images_page.parent / file).stat().st_size > 0


# -- live --------------------------------------------------------------------------------------------------------------


def states(finished: int, running: int) -> list[RunStatus]:
    done = [RunStatus(f"run{number}", "finished", "", 0.9, 0.9) for number in range(finished)]
    return done + [RunStatus("now", "running", "epoch 3 of 9")] * running


def test_live_writes_when_a_run_has_changed_and_once_more_at_the_end(tmp_path, monkeypatch, capsys):
    looks_at = [states(0, 1), states(1, 1), states(1, 1), states(2, 1), states(2, 1), states(2, 1), states(3, 0)]
    monkeypatch.setattr(live, "wait_for", lambda folders: looks_at.pop(0))
    monkeypatch.setattr(live, "sweep_status", lambda folders: looks_at.pop(0))
    monkeypatch.setattr(live, "in_progress", lambda folders, statuses: statuses[-1].state == "running")
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(live.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(live.time, "sleep", lambda seconds: next(clock) and next(clock))
    written, opened = [], []
    page = live.write_while_running(["s"], lambda line: written.append(line) or tmp_path / "report.html", opened.append)
    assert [line.partition(". Written")[0] for line in written] == [
        "2 runs: 1 finished, 1 running. In progress: now: epoch 3 of 9",
        "3 runs: 2 finished, 1 running. In progress: now: epoch 3 of 9",
        "",
    ], "nothing is written before a run is finished, and nothing twice"
    assert page == tmp_path / "report.html" and opened == [page]
    assert capsys.readouterr().out == "waiting for the first finished run ...\n"


def test_only_a_live_page_loads_itself_again(tmp_path):
    for name, line in (("done", ""), ("live", "2 runs: <1> finished.")):
        html = Page(Output([tmp_path / name], tmp_path / name), live=line).write("t", [], []).read_text()
        refresh = f'<noscript><meta http-equiv="refresh" content="{REFRESH}"></noscript>'
        assert (refresh in html) == ("2 runs: &lt;1&gt; finished." in html) == bool(line)
        assert data_of(tmp_path / name / "report.html")["refresh"] == (REFRESH if line else 0)


@pytest.mark.slow
def test_the_command_with_live_ends_with_the_sweep(tmp_path):
    folder = write_runs(tmp_path / "runs", 2, 1, images=100, epochs=2)
    line = [sys.executable, "-m", "mnist_zoo.report", str(folder), "--out", str(tmp_path / "out"), "--live"]
    with RunFolder(folder / "now"):
        (folder / "now" / "status.json").write_text('{"state": "running", "epoch": 1, "epochs": 2}')
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
        try:
            assert any(said.startswith("report: ") for said in iter(process.stdout.readline, ""))
            assert "3 runs: 2 finished, 1 running" in (tmp_path / "out" / "report.html").read_text()
            assert process.poll() is None, "it waits for the run"
        except BaseException:
            process.kill()
            raise
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0 and "no run is in progress: the report is complete" in out
    assert data_of(tmp_path / "out" / "report.html")["refresh"] == 0


def test_reading_many_runs_says_how_far_it_is(tmp_path):
    shares: list[float] = []
    read_runs([write_runs(tmp_path, 2, 2, images=50, epochs=1)], progress=shares.append)
    assert shares == [0, 0.25, 0.5, 0.75]


# -- in a browser ------------------------------------------------------------------------------------------------------

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def in_browser(page: Path, steps: str) -> dict:
    """Open a page in a headless browser and return the object ``result`` that ``browser/<steps>`` fills.

    The policy of the page, which would forbid these statements, is removed from a copy.
    """
    html = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page.read_text())
    driver, own = ((ROOT / "tests" / "browser" / name).read_text() for name in ("driver.js", steps))
    script = f"<script>{driver.replace('STEPS', own)}</script></body>"
    copy = page.with_name("driven.html")
    copy.write_text(html.replace("</body>", script))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000", "--virtual-time-budget=20000"]
    line = [str(CHROMIUM), *options, "--dump-dom", copy.as_uri()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    (found,) = re.findall(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    result = json.loads(found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert "error" not in result, result["error"]
    return result


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_tables_sort_filter_and_hide_columns(tmp_path):
    times = ["3.4 min", "18 s", "1.2 h", "never"] + ["-"] * 120
    names = ["cnn b", "cnn a", "mlp <b>", "cnn b c"] + ["x"] * 120
    accuracies = ["98.60 ± 0.10", "98.50", "< 0.0001", "99.1 [98, 99.5]"] + ["-"] * 120
    page = Page(Output([tmp_path], None))
    page.add(Section("Rows", [Block("table", pd.DataFrame({"name": names, "time": times, "acc": accuracies}))]))
    found = in_browser(page.write("tables", [], []), "tables.js")
    assert found["rising"][:4] == ["18 s", "3.4 min", "1.2 h", "never"] and found["order"] == "ascending"
    assert found["words"] == ["cnn b c", "cnn b"] and found["numbers"] == ["cnn b c", "cnn b"]
    assert (found["none"], found["hidden"], found["rows"], found["all"]) == ([], True, 100, 124)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_row_opens_its_run_and_plots_are_interactive(page):
    found = in_browser(page, "runs.js")
    assert found["width"] <= 1280, "the page does not scroll sideways"
    assert found["charts"] > 0 and found["open"] and found["hash"].startswith("#run=")
    assert found["title"].endswith(", seed 0") and found["second"].endswith(", seed 1")
    assert found["command"].startswith("python -m mnist_zoo model=") and "seed=0" in found["command"]
    assert "model" in found["settings"] and found["cells"] == 300 and found["lines"] >= 2
    count = int(found["label"].split()[0])
    assert found["errors"] == f"{count} of {count} images"
    assert "parameters" in found["tip"] and "test accuracy" in found["tip"]
    assert found["marks"] == 3 and found["fewer"] == 2 and found["zoomed"] and found["back"]
    assert found["axis"] == ["training time (s)"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_errors_are_filtered_by_run_class_and_confidence(runs, images_page):
    found, errors = in_browser(images_page, "images.js"), ~runs.correct
    counts = {"all": len(runs.missed)}
    counts["true"] = np.count_nonzero(errors.any(axis=0) & (runs.labels == 3))
    counts["predicted"] = np.count_nonzero((errors & (runs.predicted == 5)).any(axis=0) & (runs.labels == 3))
    counts["run"], counts["confident"] = np.count_nonzero(errors[0]), 0
    for name, count in counts.items():
        assert found[name] == f"{min(count, 200)} of {count} images", name
    assert found["sprites"] == 1 and found["items"] == min(len(runs.missed), 200) and found["box"] == "0 0 5 4"
    percent = [int(re.search(r"(\d+) %$", caption)[1]) for caption in found["captions"]]
    assert percent == sorted(percent, reverse=True) and len(percent) == counts["run"], "the most confident first"
    assert "of 4 runs are wrong" in found["dialog"]
    assert found["shown"] == int(found["cell"].split()[0]) > 0, "the images of the cell"
