"""Every run as the pages show it without scripts: from the same data that the scripts of the HTML page show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

MOST_RUNS = 1000  # with a part of their own
MOST_EPOCHS = 20  # in the table of a run
MOST_PAIRS = 10  # of confused classes
MOST_ERRORS = 12  # shown as images
WIDTH, HEIGHT = 300, 80  # of a curve, in units of its picture
# Title of a plot, its columns of curves.csv (training, validation), and the factor of its numbers.
PLOTS = (("loss (nats)", ("train_loss", "val_loss"), 1), ("accuracy (%)", ("train_acc", "val_acc"), 100))


def every_run(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the templates show of single runs.

    Args:
        data: of `page_data`, with the pictures of its errors if the page has them.

    Returns:
        ``shared``: the settings that all configurations share. ``configurations``: label, settings that differ, and
        runs, best configuration first. ``columns``: of the tables of epochs. ``ids``: of the parts on the page, by the
        names of the runs. ``left_out``: the number of runs after the first `MOST_RUNS`.
    """
    runs = data.get("runs", [])
    order = sorted(range(len(runs)), key=lambda place: (runs[place]["c"], runs[place]["seed"]))
    members: dict[int, list[dict[str, Any]]] = {}
    for place in order[:MOST_RUNS]:
        members.setdefault(runs[place]["c"], []).append(_part(data, place))
    own = [data["configurations"][number] | {"runs": parts} for number, parts in members.items()]
    left_out = len(runs) - len(order[:MOST_RUNS])
    columns = ["epoch", *(f"{name} (%)" if name.endswith("acc") else name for name in data.get("curves", ()))]
    ids = {run["name"]: run["id"] for parts in members.values() for run in parts}
    return {
        "shared": data.get("shared", {}),
        "configurations": own,
        "columns": columns,
        "ids": ids,
        "left_out": left_out,
    }


def _part(data: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Return the part of one run."""
    run = data["runs"][place]
    number = data["configurations"][run["c"]]["set"]
    found = data["sets"][number]
    names = found.get("classes") or [*map(str, range(len(found["counts"])))]
    curves = dict(zip(data["curves"], run["curves"], strict=True))
    facts = dict(zip(data["facts"], run["facts"], strict=True))
    return {
        "id": f"run-{place}",
        "name": run["name"],
        "title": f"Seed {run['seed']}: {facts['validation accuracy']} on validation, {facts['test accuracy']} on test",
        "facts": facts,
        "command": run["command"],
        "plots": [plot for each in PLOTS if (plot := _plot(*each, curves))],
        "epochs": epoch_rows(curves),
        "confusions": _confusions(run["errors"], found, names),
        "errors": _errors(run["errors"], found, names),
        "more_errors": max(0, len(run["errors"]) // 3 - MOST_ERRORS),
        "sprite": f"sprite-{number}",
    }


def _plot(title: str, columns: Sequence[str], factor: float, curves: Mapping[str, list]) -> dict[str, Any] | None:
    """Return the points of lines over epochs; None if a run has fewer than two epochs with numbers."""
    values = [number * factor for column in columns for number in curves[column] if number is not None]
    epochs = len(curves[columns[0]])
    if epochs < 2 or not values:
        return None
    low, high = min(values), max(values)
    across, up = WIDTH / (epochs - 1), HEIGHT / ((high - low) or 1)
    lines = [
        " ".join(
            f"{across * epoch:.0f},{HEIGHT - up * (factor * number - low):.0f}"
            for epoch, number in enumerate(curves[column])
            if number is not None
        )
        for column in columns
    ]
    return {"title": title, "low": f"{low:.4g}", "high": f"{high:.4g}", "epochs": epochs, "lines": lines}


def epoch_rows(curves: Mapping[str, list]) -> list[list[str]]:
    """Return a row for each epoch, or for about `MOST_EPOCHS` of them, the last among them; accuracies in per cent."""
    factors = [100 if column.endswith("acc") else 1 for column in curves]
    count = len(next(iter(curves.values())))
    step = math.ceil(count / MOST_EPOCHS) or 1
    return [
        [str(epoch + 1), *(_number(each[epoch], factor) for each, factor in zip(curves.values(), factors, strict=True))]
        for epoch in range(count)
        if (count - 1 - epoch) % step == 0
    ]


def _number(value: float | None, factor: float) -> str:
    return "-" if value is None else f"{value * factor:.4g}"


def _confusions(errors: Sequence[int], found: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the most frequent confusions as one text: ``4 as 9: 12; 7 as 2: 8``."""
    truths = found["images"][1]
    pairs = Counter((truths[image], wrong) for image, wrong in zip(errors[::3], errors[1::3], strict=True))
    words = [f"{names[true]} as {names[wrong]}: {count}" for (true, wrong), count in pairs.most_common(MOST_PAIRS)]
    if len(pairs) > MOST_PAIRS:
        words.append(f"{sum(pairs.values()) - sum(n for _, n in pairs.most_common(MOST_PAIRS))} of other pairs")
    return "; ".join(words) or "none"


def _errors(errors: Sequence[int], found: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, str]]:
    """Return the most confident errors: a caption, and the part of the sprite if the page has the picture."""
    numbers, truths = found["images"]
    sprite, shown = found.get("sprite"), []
    triples = sorted(zip(errors[::3], errors[1::3], errors[2::3], strict=True), key=lambda error: -error[2])
    for image, wrong, confidence in triples[:MOST_ERRORS]:
        caption, box = f"{names[truths[image]]} as {names[wrong]}, {confidence} %", ""
        if sprite and image < sprite["count"]:
            down, right = divmod(image, sprite["across"])
            box = f"{right * sprite['width']} {down * sprite['height']} {sprite['width']} {sprite['height']}"
        shown.append({"caption": caption, "number": str(numbers[image]), "box": box})
    return shown
