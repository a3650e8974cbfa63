"""The comparison: train some seeds of every side, look at the difference, and go on until the answer is known."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from scipy import stats

from mnist_zoo import __version__
from mnist_zoo.data import load_data
from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors, to_json, write_atomically
from mnist_zoo.hydra_app.optuna_search import best_settings, search
from mnist_zoo.hydra_app.overrides import grid, parse, quote_path, top_level_key
from mnist_zoo.hydra_app.places import JobFolders
from mnist_zoo.report.difference import CONFIDENCE, seeds_needed
from mnist_zoo.runs import read_result
from mnist_zoo.versus.attacked import ATTACKS, IMAGES, Attacks
from mnist_zoo.versus.estimates import Estimate, estimate
from mnist_zoo.versus.question import LETTERS, TRIAL_SEED, Question, check_question, unreachable
from mnist_zoo.versus.sequence import Sequence as ConfidenceSequence
from mnist_zoo.versus.sequence import looks

RECORD = "versus.json"
Sweep = Callable[[list[str]], None]  # runs ``python -m mnist_zoo -m`` with these words
ON_TEST = ("accuracy", "loss", "calibration", "brier")  # metrics that the test split has


@dataclass
class Side:
    """A candidate beside the baseline.

    Attributes:
        place: index of the side.
        sequence: its looks.
        estimate: of the last look.
        answer: of the last look, from the candidate's point of view.
        test: the difference on the test split, if it was asked for.
    """

    place: int
    sequence: ConfidenceSequence
    estimate: Estimate | None = None
    answer: str = "undecided"
    test: Estimate | None = None


@dataclass
class Comparison:
    """A comparison, as far as it has come.

    Attributes:
        question: what was asked.
        folder: of the comparison.
        images: number of validation images that are measured.
        candidates: all sides but the baseline.
        runs: of each side, folders by number of the seed, counted from 0.
        looked: number of seeds at each look, also at those of earlier commands.
        tuned: settings that `tune` found for each side.
        attacks: of the metrics `fgsm` and `pgd`.
    """

    question: Question
    folder: Path
    images: int
    candidates: list[Side]
    runs: list[dict[int, Path]]
    looked: list[int] = field(default_factory=list)
    tuned: list[list[str]] = field(default_factory=list)
    attacks: Attacks | None = None


def compare(question: Question, sweep: Sweep, *, test: bool = False) -> Comparison:
    """Train until the answer is known, and write ``versus.json``. The same question continues where it was stopped.

    Args:
        question: what is asked.
        sweep: trains the jobs of a grid, as ``python -m mnist_zoo -m`` does; finished jobs are skipped.
        test: whether to read the test metrics at the end. They decide nothing.

    Raises:
        InputError: if the question is invalid, or the folder holds another comparison.
    """
    if test and question.metric not in ON_TEST:
        raise InputError(f"--test: {question.metric} is a metric of training and validation only")
    configs = check_question(question)
    folder = question.folder(configs[0]["output_dir"])
    looked = _earlier_looks(folder, question)
    images, attacks = len(load_data(configs[0]).labels("val")), None
    if question.metric in ATTACKS:
        assert question.epsilon is not None  # check_question raises
        images, attacks = min(images, IMAGES), Attacks(question.metric, question.epsilon, configs[0]["data"]["root"])
    if warning := unreachable(question, images):
        warnings.warn(warning, stacklevel=2)
    sides = range(len(question.sides))
    candidates = [Side(place, ConfidenceSequence(question.allowed, question.alpha)) for place in sides[1:]]
    found = Comparison(question, folder, images, candidates, [{} for _ in sides], [*looked], attacks=attacks)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _write(found)
    found.tuned = [_tune(question, folder, side) for side in sides]
    for seeds in looks(question.max_seeds, looked):
        active = [side for side in candidates if side.answer == "undecided"]
        if not active:
            break
        for place in (0, *(side.place for side in active)):
            _train(found, place, seeds, sweep)
        found.looked = sorted({*found.looked, seeds})
        for side in active:
            _look(found, side, seeds)
        _write(found)
    if test:
        for side in candidates:
            side.test = _estimate(found, side, len(found.runs[side.place]), "test")
    _write(found)
    return found


def _earlier_looks(folder: Path, question: Question) -> tuple[int, ...]:
    """Return the numbers of seeds at the looks of earlier commands; none for a new comparison.

    Raises:
        InputError: if the folder holds another comparison, or its record is damaged.
    """
    path = folder / RECORD
    if not path.exists():
        return ()
    try:
        record = json.loads(path.read_text())
        recorded = record["question"]
        of_sides = [[look["seeds"] for look in side["looks"]] for side in record["candidates"]]
        looked = record.get("looked", max(of_sides, key=len))  # which older records lack
        if not all(isinstance(seeds, int) for seeds in looked) or sorted({*looked}) != looked:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged: delete it; the same command writes it again") from error
    asked = json.loads(json.dumps(question.record()))
    if recorded != asked:
        differing = [key for key in asked if not isinstance(recorded, dict) or recorded.get(key) != asked[key]]
        raise InputError(f"{folder} holds another comparison ({', '.join(differing)} differ): choose another --name")
    return tuple(looked)


def _tune(question: Question, folder: Path, side: int) -> list[str]:
    """Return the best settings of a side that its trials found, as overrides."""
    if not question.tune:
        return []
    space = {}
    for word in question.tune:
        key, _, bounds = word.partition("=")
        low, colon, high = bounds.partition(":")
        try:
            ends = [yaml.safe_load(low), yaml.safe_load(high)]
            ends = [float(end) if isinstance(end, str) else end for end in ends]  # YAML takes 1e-4 for a text
            if not colon or not key or not ends[0] < ends[1]:
                raise ValueError
        except (ValueError, TypeError, yaml.YAMLError) as error:
            raise InputError(f"--tune {word}: write key=low:high, such as lr=1e-4:1e-1") from error
        wide = ends[0] > 0 and ends[1] / ends[0] >= 10
        space[key] = {"low": ends[0], "high": ends[1]} | ({"log": True} if wide else {})
    place = folder / "tune"
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / "space.yaml", yaml.safe_dump({"overrides": [], "space": space}))
    own = [word for word in question.words(side) if top_level_key(word) not in ("hydra", "output_dir")]
    words = [*own, quote_path(f"output_dir={place}"), f"seed={TRIAL_SEED}"]
    print(f"{question.label(side)}: {question.trials} trials on validation", flush=True)
    study = search(str(place / "space.yaml"), question.trials, LETTERS[side], words)
    best = best_settings(study)
    print(f"{question.label(side)}: {' '.join(best)}", flush=True)
    return best


def _train(found: Comparison, side: int, seeds: int, sweep: Sweep) -> None:
    """Train the first seeds of a side that are not finished."""
    question = found.question
    words = [*question.words(side), *found.tuned[side]]
    place = found.folder / LETTERS[side]
    numbers = [question.seed(side, number) for number in range(seeds)]
    kept = [word for word in words if top_level_key(word) != "output_dir"]
    if not any(top_level_key(word) == "progress" for word in words):
        kept.append("progress=none")
    print(f"{question.label(side)}: seeds {numbers[0]} to {numbers[-1]}", flush=True)
    sweep([*kept, f"seed={','.join(map(str, numbers))}", "sweep=versus", quote_path(f"hydra.sweep.dir={place}")])
    folders = JobFolders(place)
    for number, seed in enumerate(numbers):
        folder = folders.find(grid(parse([*kept, f"seed={seed}"]))[0])
        if read_result(folder) is None:
            raise InputError(f"{folder} is not finished: give the same command again")
        found.runs[side][number] = folder


def _estimate(found: Comparison, side: Side, seeds: int, split: str) -> Estimate:
    question = found.question
    baseline, candidate = (
        {question.seed(place, number): found.runs[place][number] for number in range(seeds)}
        for place in (0, side.place)
    )
    return estimate(question.metric, baseline, candidate, split, question.target, found.attacks)


def _look(found: Comparison, side: Side, seeds: int) -> None:
    """Add a look at one candidate, and print it."""
    question = found.question
    side.estimate = _estimate(found, side, seeds, "val")
    answer = side.sequence.add(side.estimate, seeds)
    opposite = {"better": "worse", "worse": "better"}
    side.answer = answer if question.measured.higher else opposite.get(answer, answer)
    last = side.sequence.looks[-1]
    print(
        f"look {len(side.sequence.looks)}, {seeds} seeds: {LETTERS[side.place]} - A = {last.mean:+.3g} "
        f"{question.measured.unit}, between {last.low:+.3g} and {last.high:+.3g}: {side.answer}",
        flush=True,
    )


def test_interval(estimate: Estimate) -> tuple[float, float]:
    """Return the 95 % interval of a difference that is looked at once."""
    half = float(stats.t.isf((1 - CONFIDENCE) / 2, estimate.freedom)) * estimate.error if estimate.error else 0.0
    return estimate.mean - half, estimate.mean + half


def fixed_size(found: Comparison, side: Side) -> int | None:
    """Return the seeds that a t test of fixed size needs to find a difference of the margin with 80 % probability.

    None if no number of seeds is enough, because of the images.
    """
    question, last = found.question, side.estimate
    assert last is not None, "an answered side has an estimate"
    wanted = question.allowed / question.measured.scale
    return seeds_needed(wanted, last.noise, found.images, len(question.sides) - 1)


def _write(found: Comparison) -> None:
    """Write ``versus.json``."""
    question = found.question
    record: dict[str, Any] = {
        "question": question.record(),
        "margin": question.allowed,
        "unit": question.measured.unit,
        "alpha": question.alpha,
        "max_seeds": question.max_seeds,
        "validation_images": found.images,
        "looked": found.looked,
        "tuned": found.tuned,
        "candidates": [_side_record(found, side) for side in found.candidates],
        "version": __version__,
    }
    write_atomically(found.folder / RECORD, to_json(record))


def _side_record(found: Comparison, side: Side) -> dict[str, Any]:
    record: dict[str, Any] = {
        "side": LETTERS[side.place],
        "answer": side.answer,
        "looks": [asdict(look) for look in side.sequence.looks],
    }
    if side.estimate is not None:
        last = side.estimate
        image_error = None if last.image_error != last.image_error else last.image_error
        record |= {"means": list(last.sides), "seed_error": last.seed_error, "image_error": image_error}
        record |= {"pairs": last.pairs.tolist(), "fixed_size_seeds": fixed_size(found, side)}
    if side.test is not None:
        low, high = test_interval(side.test)
        record["test"] = {"mean": side.test.mean, "low": low, "high": high, "means": list(side.test.sides)}
    return record


def folders_of(runs: Sequence[dict[int, Path]]) -> list[list[Path]]:
    """Return the run folders of each side, in the order of the seeds."""
    return [[each[number] for number in sorted(each)] for each in runs]
