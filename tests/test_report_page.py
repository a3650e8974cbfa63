"""The HTML page of the report: first screen, terms, content-security policy, and the scripts in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import write_runs

from mnist_zoo import machine
from mnist_zoo.plots.style import COLOURS, looks
from mnist_zoo.report import write_report
from mnist_zoo.report.rendering import embedded
from mnist_zoo.report.summary import commands, training_state
from mnist_zoo.report.terms import TERMS, explanation, identifier, linked
from mnist_zoo.runs import CURVE_COLUMNS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Return the page of 3 configurations with 2 seeds each."""
    folder = tmp_path_factory.mktemp("report")
    return write_report([write_runs(folder / "runs", 3, 2, images=300, epochs=3)], folder / "out")


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
