"""What ``python -m mnist_zoo.evaluate`` does: tests over many sources, each result kept where it belongs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from mnist_zoo import speed
from mnist_zoo.errors import InputError, ZooError, printable
from mnist_zoo.machine import processor_name, versions
from mnist_zoo.robustness.evaluation import run_test
from mnist_zoo.robustness.images import Images
from mnist_zoo.robustness.registry import Outcome, Progress, RegisteredTest, Settings, chosen_tests
from mnist_zoo.robustness.sources import ImageCache, LoadOther, find_sources, require_finished
from mnist_zoo.robustness.subject import Subject, ensemble, read_subject
from mnist_zoo.runs import add_measurement, measurement_key, read_evaluation
from mnist_zoo.waiting import Countdown

Chosen = Sequence[tuple[RegisteredTest, Settings]]


class SomeFailed(ZooError):
    """Some sources were not measured; all others were."""


def parse_options(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return options by test from texts such as ``pgd.steps=50``; values are written as in YAML.

    Raises:
        InputError: if a text has another form.
    """
    options: dict[str, dict[str, Any]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        test, dot, name = path.partition(".")
        if not equals or not dot:
            raise InputError(f"--set {text}: write TEST.OPTION=VALUE, such as pgd.steps=50")
        try:
            options.setdefault(test, {})[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {text}: the value cannot be read") from error
    return options


def choose_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is CUDA where there is one.

    Raises:
        InputError: if there is no such device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda, but torch sees no CUDA device: use --device cpu, or check nvidia-smi")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def evaluate_sources(
    given: Sequence[str],
    on: Sequence[str],
    *,
    options: Mapping[str, Mapping[str, Any]],
    common: Mapping[str, Any],
    device: str = "auto",
    data_root: Path | None = None,
    out: Path | None = None,
    force: bool = False,
    together: bool = False,
    other: LoadOther | None = None,
) -> None:
    """Measure networks and print a line for each test; those of runs are kept in their folders.

    Args:
        given: run folders, sweeps, checkpoints, safetensors files, or names with shipped weights.
        on: names of tests.
        options: options of single tests, by test.
        common: options of all tests, such as ``images``.
        device: ``auto``, ``cpu`` or ``cuda``.
        data_root: folder of the data files.
        out: folder to keep the results in, one folder for each source, instead of the run folders.
        force: measure again what is already measured.
        together: measure the ensemble of all sources (their mean probabilities) instead of each.
        other: loads another data set with given filters, to measure on instead of the images of the training.

    Raises:
        InputError: unknown test or option, or the only source cannot be measured.
        SomeFailed: some of several sources cannot be measured; they were named.
    """
    chosen = chosen_tests(on, options, common)
    sources, place = find_sources(given), choose_device(device)
    cache, failed = ImageCache(data_root, other), 0
    speed.apply_to_process()
    if together:
        _measure_ensemble(sources, chosen, cache, place, out, force)
        return
    places = _places(sources, out)
    for number, (source, folder) in enumerate(sources, 1):
        print(printable(f"{source}" + (f" ({number} of {len(sources)})" if len(sources) > 1 else "")), flush=True)
        try:
            if folder is not None:
                require_finished(folder)
            subject, weights = read_subject(source, place)
            if not force:
                _require_own(out and places[source], subject)
            _measure(subject, cache.of(source, folder, weights), chosen, places[source], force)
        except InputError as error:
            if len(sources) == 1:
                raise
            failed += 1
            print(f"skipped: {printable(error)}", file=sys.stderr, flush=True)
    if failed:
        raise SomeFailed(f"{failed} of {len(sources)} could not be measured: see above")


def _measure_ensemble(
    sources: Sequence[tuple[str, Path | None]],
    chosen: Chosen,
    cache: ImageCache,
    device: torch.device,
    out: Path | None,
    force: bool,
) -> None:
    subjects, images = [], None
    for source, folder in sources:
        if folder is not None:
            require_finished(folder)
        subject, weights = read_subject(source, device)
        its = cache.of(source, folder, weights)
        if images is not None and its.fingerprint != images.fingerprint:
            raise InputError(f"{source} has other images than {sources[0][0]}: they form no ensemble")
        images = its
        subjects.append(subject)
    assert images is not None  # find_sources raises if there is none
    whole = ensemble(subjects)
    if not force:
        _require_own(out, whole)
    print(f"ensemble of {len(subjects)}", flush=True)
    _measure(whole, images, chosen, out, force)


def _places(sources: Sequence[tuple[str, Path | None]], out: Path | None) -> dict[str, Path | None]:
    """Return the folder in which the results of each source are kept, or None.

    Raises:
        InputError: if two sources would be kept in the same folder.
    """
    if out is None:
        return dict(sources)
    if len(sources) == 1:
        return {sources[0][0]: out}
    places: dict[str, Path | None] = {}
    for source, folder in sources:
        place = out / (Path(source).name if folder is not None else Path(source).stem)
        if place in places.values():
            raise InputError(f"--out {out}: two sources are named {place.name}: measure them in two commands")
        places[source] = place
    return places


def _require_own(out: Path | None, subject: Subject) -> None:
    """Raise InputError if a folder of ``--out`` holds results of other weights, which would be removed."""
    held = read_evaluation(out).values() if out else ()
    others = sorted({record["network"] for record in held if record["weights"] != subject.digest})
    if others:
        raise InputError(
            f"--out {out} holds results of {', '.join(others)} with other weights: name another folder, or replace "
            f"them with --force"
        )


def _measure(subject: Subject, images: Images, chosen: Chosen, folder: Path | None, force: bool) -> None:
    """Run the tests that are not measured yet, and print a line for each.

    Raises:
        InputError: if tests cannot be run on this network and its images; the others were.
    """
    known = {} if force or folder is None else read_evaluation(folder)
    problems: dict[str, list[str]] = {}
    known_data = None if subject.description is None else subject.description.data
    on = "" if images.name == known_data else f" on {images.name}"
    for test, settings in chosen:
        started = time.monotonic()
        try:
            completed = test.complete(settings, images)
            with Countdown(test.name) as countdown:
                if folder is None:
                    values, new = run_test(subject, images, test, completed, countdown).values, True
                else:
                    key, new = measure_and_keep(subject, images, test, completed, folder, known, countdown)
                    values = read_evaluation(folder)[key]["values"]
        except InputError as error:
            problems.setdefault(str(error), []).append(test.name)
            continue
        how = f"{time.monotonic() - started:.1f} s" if new else "measured before"
        print(printable(f"  {test.name}{on}: {test.summarise(values)} ({how})"), flush=True)
    if folder is not None and sum(map(len, problems.values())) < len(chosen):
        print(printable(f"  kept in {folder / 'evaluation.json'}"), flush=True)
    if problems:
        raise InputError("; ".join(f"{', '.join(names)}: {problem}" for problem, names in problems.items()))


def measure_and_keep(
    subject: Subject,
    images: Images,
    test: RegisteredTest,
    settings: Settings,
    folder: Path,
    known: Mapping[str, Mapping[str, Any]],
    progress: Progress = lambda share: None,
) -> tuple[str, bool]:
    """Run a test on a network, and keep the result in a folder, unless it is there.

    Args:
        subject: the network.
        images: to measure it on.
        test: from the registry.
        settings: of the test, complete.
        folder: of the result.
        known: the measurements that are not repeated, by key.
        progress: called with the share of the test that is done.

    Returns:
        The key of the measurement, and whether it is new.

    Raises:
        InputError: if the test cannot be run, or another process holds the folder.
        StorageError: if the result cannot be written.
    """
    key = measurement_key(test.name, test.version, settings.as_dict(), subject.digest, images.fingerprint)
    if key in known:
        return key, False
    started = time.monotonic()
    outcome = run_test(subject, images, test, settings, progress)
    record = _record(subject, images, test, settings, outcome, time.monotonic() - started)
    add_measurement(folder, key, record, outcome.arrays)
    return key, True


def _record(
    subject: Subject, images: Images, test: RegisteredTest, settings: Settings, outcome: Outcome, seconds: float
) -> dict[str, Any]:
    threads = torch.get_num_threads()
    cpu = f"{processor_name()} cpu, {threads} thread{'s' if threads > 1 else ''}"
    return {
        "network": subject.name,
        "test": test.name,
        "version": test.version,
        "settings": settings.as_dict(),
        "weights": subject.digest,
        "data": images.name,
        "fingerprint": images.fingerprint,
        "images": len(images.split(settings.split, settings.images)[1]),
        "values": outcome.values,
        "seconds": round(seconds, 3),
        "device": torch.cuda.get_device_name(subject.device) if subject.device.type == "cuda" else cpu,
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
