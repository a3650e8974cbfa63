"""Plots of the report in a browser: the values that the page has of each plot, tables of colours, and a live page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chromium import PROGRAM, chromium
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from synthetic_runs import write_runs

from mnist_zoo.confidence import Calibration
from mnist_zoo.plots.beyond import corruption_accuracies, coverage
from mnist_zoo.plots.images import image_grid
from mnist_zoo.plots.reliability import reliability
from mnist_zoo.report import figures, rendering
from mnist_zoo.report.drawn import MOST_POINTS, panels
from mnist_zoo.report.exploring import page_data
from mnist_zoo.report.page import Page
from mnist_zoo.report.reading import read_runs
from mnist_zoo.report.runs_table import runs_section
from mnist_zoo.report.sections import Block, Section
from mnist_zoo.report.testsets import group_by_images
from mnist_zoo.report.writing import Output

PREDICTED = np.array([[0, 1, 2, 3], [0, 1, 2, 0], [3, 1, 0, 2]])
PAIRS = pd.DataFrame(
    {
        "first": ["$a$", "$a$", "b"],
        "second": ["b", "c", "c"],
        "difference": [0.01, -0.002, 0.03],
        "conclusion": ["$a$ is better", "undecided", "b is better"],
    }
)


def measured() -> Calibration:
    return Calibration(np.array([0.5, 0.9]), np.array([0.4, 0.95]), np.array([10, 90]), 0.05)


def errors_on_an_axis() -> Figure:
    figure = Figure()
    axis = figure.subplots()
    axis.errorbar([1000, 2000], [4.0, 2.0], [[3.0, 1.0], [3.5, 1.0]], label="cnn", color="#0072B2", marker="s")
    figures.accuracy_axis(axis, 1000)
    return figure


def lines(figure: Figure, panel: int = 0) -> dict:
    return {one["name"]: one["points"] for one in panels(figure)[panel]["series"]}


def values(figure: Figure, panel: int = 0) -> list:
    return [[cell[0] for cell in row] for row in panels(figure)[panel]["cells"]]


MORE = {  # what the page cannot draw
    "a line without a label": lambda axis: axis.plot([1, 2], [2, 1]),
    "a shade": lambda axis: axis.fill_between([1, 2], [2, 1], label="interval"),
    "a margin": lambda axis: axis.axhspan(1, 2, label="margin"),
    "a line across": lambda axis: axis.axhline(1, label="mean"),
}


def lines_and(add: Callable[[Axes], object]) -> Figure:
    figure = Figure()
    axis = figure.subplots()
    axis.plot([1, 2], [1, 2], label="one")
    add(axis)
    return figure


CASES = {
    "lines": (
        lambda: lines(reliability({"$x$": measured()})),
        {"perfect": [[0, 0, 0], [1, 1, 0]], "$x$: ECE 5.00 %": [[0.5, 0.4, 0], [0.9, 0.95, 0]]},
    ),
    "bars": (lambda: lines(reliability({"cnn": measured()}), 1), {"cnn": [[0.5, 10, 0], [0.9, 90, 0]]}),
    "error bars": (lambda: lines(errors_on_an_axis()), {"cnn": [[1000, 96, 3.5], [2000, 98, 1]]}),
    "cells": (
        lambda: values(corruption_accuracies({"cnn": [0.9, 0.5]}, ["fog", "snow"])),
        [[90, 50]],
    ),
    "cells without a value": (
        lambda: values(figures.differences(PAIRS, ["$a$", "b", "c"])),
        [[None, 1, -0.2], [-1, None, 3], [0.2, -3, None]],
    ),
    "panels": (lambda: len(panels(figures.correlations(PREDICTED, PREDICTED[0], ["a", "b", "c"]))), 2),
    **{
        f"a plot with {name} stays a picture": (lambda add=add: panels(lines_and(add)), [])
        for name, add in MORE.items()
    },
    "pictures": (lambda: panels(image_grid(np.zeros((2, 1, 4, 4), np.uint8), ["a", "b"])), []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_page_has_the_values_of_a_plot(case):
    found, expected = CASES[case][0](), CASES[case][1]
    assert found == expected


def test_a_table_of_colours_has_the_names_texts_and_colours_of_its_plot():
    (panel,) = panels(figures.differences(PAIRS, ["$a$", "b", "c"]))
    assert panel["rows"] == ["$a$  1", "b  2", "c  3"] and panel["columns"] == ["1", "2", "3"]
    assert panel["title"] == "points of test accuracy, row minus column"
    assert [cell[2] for cell in panel["cells"][0][1:]] == ["+1.00", "·"]
    dark, light = panel["cells"][1][2], panel["cells"][0][2]
    assert dark[3] == 1 and light[3] == 0 and re.fullmatch("#[0-9a-f]{6}", dark[1])


def test_axes_are_those_of_the_plot():
    (panel,) = panels(errors_on_an_axis())
    assert (panel["x"]["scale"], panel["y"]["scale"]) == ("linear", "error")
    upper, lower = panels(reliability({"cnn": measured()}))
    assert upper["x"] == lower["x"] and upper["x"]["title"].startswith("confidence")
    assert (upper["title"], lower["title"], lower["y"]["scale"]) == ("accuracy", "images", "log")
    assert panels(coverage({"cnn": np.ones(3)}))[0]["y"]["percent"]


def test_long_lines_have_few_points_with_the_last():
    ((points,),) = (lines(coverage({"cnn": np.linspace(1, 0.5, 10_000)})).values(),)
    assert len(points) == MOST_POINTS and points[-1] == [100, 50, 0]


# -- in a browser ------------------------------------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found
        assert not found.messages, found.messages


def key(name: str) -> str:
    return f'document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {{key: "{name}", bubbles: true}}))'


@pytest.mark.slow
@needs_browser
def test_tables_of_colours_and_lines_show_values_and_switch_panels(browser, tmp_path):
    page = Page(Output([tmp_path], None))
    page.add(Section("Colours", [Block("figure", figures.differences(PAIRS, ["$a$", "b", "c"]), "Pairs.", "pairs")]))
    page.add(Section("Lines", [Block("figure", reliability({"cnn": measured()}), "Reliability.", "reliability")]))
    file = page.write("plots", [], [])
    for width in (1280, 390):
        browser.open(file, width=width)
        browser.evaluate('dispatchEvent(new Event("beforeprint"))')  # draws all plots
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate('document.querySelectorAll("figure img").length') == 0
        cells = browser.evaluate('[...document.querySelectorAll(".colours tbody td")].map((cell) => cell.textContent)')
        assert cells == ["", "+1.00", "·", "-1.00", "", "+3.00", "·", "-3.00", ""]
        browser.evaluate('document.querySelector(".colours td[tabindex=\\"0\\"]").focus()')
        browser.evaluate(key("ArrowRight"))
        browser.evaluate(key("ArrowRight"))
        assert browser.evaluate("document.querySelector('figure [role=status]').textContent") == "$a$ and c: -0.2"
        assert browser.evaluate('document.querySelectorAll(".colours [tabindex=\\"0\\"]").length') == 1
        select = "document.querySelector('figure[data-plot=reliability] select')"
        assert browser.evaluate(f"[...{select}.options].map((one) => one.text)") == ["accuracy", "images"]
        browser.evaluate(f"{select}.value = 1; {select}.dispatchEvent(new Event('change'))")
        browser.evaluate("document.querySelector('svg.chart').focus()")
        browser.evaluate(key("ArrowRight"))
        assert browser.evaluate("document.querySelector('.tip').textContent") == (
            "cnn: confidence: probability of the predicted class 0.5, images 10"
        )


@pytest.mark.slow
@needs_browser
def test_no_text_of_a_chart_is_cut_on_a_phone(browser, tmp_path):
    page = Page(Output([tmp_path], None))
    figure = Figure()
    axis = figure.subplots()
    axis.plot([1, 2], [3, 4], label="one")
    axis.set_xlabel("a long title of an axis that is wider than a phone, with a unit (nats per image)")
    page.add(Section("Lines", [Block("figure", figure, "Lines.", "lines")]))
    browser.open(page.write("plots", [], []), width=390, touch=True)
    browser.evaluate('dispatchEvent(new Event("beforeprint"))')
    boxes = "[...document.querySelectorAll('svg.chart text')].map((text) => text.getBoundingClientRect())"
    left = browser.evaluate(f"Math.min(...{boxes}.map((box) => box.left))")
    right = browser.evaluate(f"Math.max(...{boxes}.map((box) => box.right))")
    assert left >= 0 and right <= 390


@pytest.mark.slow
@needs_browser
def test_a_printed_page_is_light_and_has_its_legends_and_whole_tables(browser, tmp_path):
    page = Page(Output([tmp_path], None))
    page.add(Section("Lines", [Block("figure", reliability({"cnn": measured()}), "Reliability.", "reliability")]))
    page.add(Section("Rows", [Block("table", pd.DataFrame({"name": ["x"] * 90, "acc": range(90)}), folded=True)]))
    browser.open(page.write("plots", [], []), dark=True)
    browser.evaluate('dispatchEvent(new Event("beforeprint"))')
    browser._call("Emulation.setEmulatedMedia", media="print", features=DARK)
    style = "getComputedStyle(document.querySelector('{}')).{}"
    for selector, key, expected in PRINTED:
        assert browser.evaluate(style.format(selector, key)) == expected, (selector, key)
    frame = browser.evaluate(
        "(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)(document.querySelector('.scroll'))"
    )
    assert frame <= 0 < browser.evaluate("document.querySelector('tbody tr:last-child').getBoundingClientRect().height")
    browser._call("Emulation.setEmulatedMedia", media="", features=[])


def press(browser, key: str) -> None:
    code = {"Enter": 13, "Escape": 27, "Tab": 9}[key]
    own = {"key": key, "code": key, "text": "\r" if key == "Enter" else "", "windowsVirtualKeyCode": code}
    for kind in ("keyDown", "keyUp"):
        browser._call("Input.dispatchKeyEvent", type=kind, **own)


@pytest.mark.slow
@needs_browser
def test_runs_open_and_close_by_keyboard_and_without_scripts_by_a_link(browser, tmp_path):
    table = read_runs([write_runs(tmp_path / "runs", 2, 1, images=100, epochs=2)]).table
    page = Page(Output([tmp_path], None))
    page.data |= page_data(group_by_images(table)[0])
    page.add(runs_section(table))
    file = page.write("runs", [], [])
    browser.open(file)
    focused = "document.activeElement.textContent"
    for _ in range(60):
        press(browser, "Tab")
        if browser.evaluate("document.activeElement.matches('button.open')"):
            break
    name = browser.evaluate(focused)
    assert name in {folder.name for folder in table["folder"]}
    press(browser, "Enter")
    dialog = "document.querySelector('dialog[open]')"
    assert browser.evaluate(f"{dialog}.getAttribute('aria-labelledby')") == "run-title"
    assert f"folder{name}" in browser.evaluate(f"{dialog}.textContent")
    assert browser.evaluate("location.hash") == f"#run={name}"
    unnamed = "[...document.querySelectorAll('button, select, input')].filter((one) => !one.textContent.trim() &&"
    assert browser.evaluate(f"{unnamed} !one.getAttribute('aria-label') && !one.closest('label')).length") == 0
    press(browser, "Escape")
    wait(browser, f"{dialog} === null && location.hash === ''")
    assert browser.evaluate(focused) == name
    browser._call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(file)
    browser.evaluate("document.querySelector('td a').click()")
    part = "document.querySelector(document.querySelector('td a').hash)"
    wait(browser, f"{part}.closest('details').open")
    assert browser.evaluate(f"{part}.textContent.includes(document.querySelector('td a').textContent)")
    browser._call("Emulation.setScriptExecutionDisabled", value=False)


DARK = [{"name": "prefers-color-scheme", "value": "dark"}]
PRINTED = [
    ("body", "backgroundColor", "rgb(255, 255, 255)"),
    ("body", "color", "rgb(0, 0, 0)"),
    ("nav", "display", "none"),
    (".tools", "display", "none"),
    (".zoom", "display", "none"),
    (".legend button", "display", "block"),
    ("thead th", "position", "static"),
    ("td:first-child", "position", "static"),
    ("button.sort", "display", "contents"),
]


def live_page(folder: Path, rows: int, line: str) -> Path:
    page = Page(Output([folder], folder), live=line)
    names = [f"cnn {number}" if number % 2 else f"mlp {number}" for number in range(rows)]
    page.add(Section("Other", [Block("table", pd.DataFrame({"name": names[:9]}))] if rows > 20 else []))
    page.add(Section("Rows", [Block("table", pd.DataFrame({"name": names, "acc": range(rows)}), folded=True)]))
    return page.write("live", [], [])


@pytest.mark.slow
@needs_browser
def test_a_live_page_keeps_place_filters_and_order_and_stops_with_the_sweep(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "REFRESH", 1)
    browser.open(live_page(tmp_path, 20, "1 of 3 runs."))
    table = "document.querySelector('details table')"
    browser.evaluate(f"{table}.closest('details').open = true")
    for _ in range(2):
        browser.evaluate(f"{table}.querySelectorAll('button.sort')[1].click()")
    text = f"{table}.closest('.table').querySelector('input')"
    browser.evaluate(f"{text}.value = 'cnn'; {text}.dispatchEvent(new Event('input'))")
    top = f"{table}.getBoundingClientRect().top"
    before = browser.evaluate(top)
    live_page(tmp_path, 40, "2 of 3 runs.")
    wait(browser, "document.readyState === 'complete' && document.body.textContent.includes('2 of 3 runs')")
    names = browser.evaluate(f"[...{table}.tBodies[0].rows].map((row) => row.cells[0].textContent)")
    assert names == [f"cnn {number}" for number in range(39, 0, -2)]
    assert browser.evaluate(f"{table}.closest('details').open") and abs(browser.evaluate(top) - before) < 2
    browser.evaluate("document.querySelector('input').focus()")
    live_page(tmp_path, 40, "")
    started = browser.evaluate("performance.timeOrigin")
    assert not changes(browser, "performance.timeOrigin", started), "not while something is typed"
    browser.evaluate("document.activeElement.blur()")
    wait(browser, "document.readyState === 'complete' && !document.getElementById('live')")
    ended = browser.evaluate("performance.timeOrigin")
    assert ended > started and not changes(browser, "performance.timeOrigin", ended), "the sweep has ended"


def wait(browser, expression: str) -> None:
    until = time.monotonic() + 30
    while not browser.evaluate(expression):
        assert time.monotonic() < until, expression
        time.sleep(0.05)


def changes(browser, expression: str, value: float) -> bool:
    """Return whether an expression has another value 2.5 seconds later."""
    time.sleep(2.5)
    return browser.evaluate(expression) != value
