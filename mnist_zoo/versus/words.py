"""The answer in words: three lines for each candidate."""

from __future__ import annotations

import math

from mnist_zoo.versus.comparing import Comparison, Side, fixed_size, test_interval
from mnist_zoo.versus.question import LETTERS


def answer_lines(found: Comparison) -> list[str]:
    """Return three lines for each candidate, and one more if the test split was read."""
    return [line for side in found.candidates for line in _of(found, side)]


def _of(found: Comparison, side: Side) -> list[str]:
    question, last = found.question, side.sequence.looks[-1]
    assert side.estimate is not None
    letter, unit = LETTERS[side.place], question.measured.unit
    ours, theirs = question.label(side.place), question.label(0)
    what, margin = f"{question.measured.about} on the validation images", f"{question.allowed:g} {unit}".strip()
    small = ", but by less than the margin" if max(abs(last.low), abs(last.high)) < question.allowed else ""
    sentence = {
        "better": f"{ours} is better than {theirs}{small}: {what}",
        "worse": f"{ours} is worse than {theirs}{small}: {what}",
        "equivalent": f"{ours} and {theirs} are equivalent: they differ by less than {margin} ({what})",
        "undecided": f"undecided after {last.seeds} seeds: {ours} and {theirs} may differ by {margin} or not ({what})",
    }[side.answer]
    first, second = side.estimate.sides
    lines = [
        sentence,
        f"{letter} - A is {_signed(last.mean)} {unit}, with 95 % confidence between {_signed(last.low)} and "
        f"{_signed(last.high)}, whenever one stops (A {first:.4g}, {letter} {second:.4g})",
        f"{last.seeds} seeds each, {found.images:,} validation images; {_noise(found, side)}",
    ]
    if side.test is not None:
        low, high = test_interval(side.test)
        lines.append(
            f"test images: {letter} - A is {_signed(side.test.mean)} {unit}, 95 % interval {_signed(low)} to "
            f"{_signed(high)} (A {side.test.sides[0]:.4g}, {letter} {side.test.sides[1]:.4g}); they decided nothing"
        )
    return [line.replace("  ", " ") for line in lines]


def _noise(found: Comparison, side: Side) -> str:
    last = side.estimate
    assert last is not None
    if last.error == 0:
        return "all predictions of both sides are the same" if not last.mean else "nothing varies between seeds"
    seeds = f"standard error from seeds {last.seed_error:.2g}"
    of_images = not math.isnan(last.image_error)
    text = f"{seeds}, from images {last.image_error:.2g}" if of_images else f"{seeds}, images are not in the interval"
    margin = f"{found.question.allowed:g} {found.question.measured.unit}".strip()
    needed = fixed_size(found, side)
    needs = f"{needed} seeds" if needed else "more images, no number of seeds is enough"
    return f"{text}; a t test of fixed size needs {needs} to find {margin}"


def _signed(value: float) -> str:
    return f"{value:+.3g}"
