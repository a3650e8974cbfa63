"""``python -m benchmarks``: measure parts, record every round in results.json, write results.md and the plots."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import __doc__ as ABOUT
from benchmarks import data
from benchmarks.parts import ON_REQUEST, PARTS, SELECTABLE
from mnist_zoo.errors import InputError, ZooError, unknown

HERE = Path(__file__).parent
TRIALS = Path("outputs/benchmarks")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m benchmarks``: known errors print one line and exit with status 1."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    parser.add_argument("--render", action="store_true", help="measure nothing; rewrite the page from results.json")
    parser.add_argument("--only", metavar="MODEL[,MODEL]", help=f"networks to measure, in {', '.join(SELECTABLE)}")
    parser.add_argument("--against", type=Path, metavar="DIR", help="the other checkout of the part versions")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="of gpu; cpu: a trial, with --quick")
    parser.add_argument("--data", choices=("mnist", "mnist5k"), default="mnist", help="mnist5k: 5,000 digits, repeated")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, help="rounds that count; default: 7, or 2 with --quick")
    parser.add_argument("--threads", type=int, default=1, help="threads of each worker")
    parser.add_argument("--keras-python", default=sys.executable, metavar="PATH", help="interpreter that has Keras")
    parser.add_argument("--out", type=Path, help=f"output folder; default: benchmarks, {TRIALS} with --quick or --only")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that workers and files are cleaned up
    try:
        _run(options)
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: interrupted; the parts measured before are in results.json", file=sys.stderr)
        sys.exit(130)


def _run(options: argparse.Namespace) -> None:
    parts = _check(options)
    out = options.out or (TRIALS if options.quick or options.only else HERE)
    failed = [] if options.render else _measure(parts, options, out)
    from benchmarks import results  # imports Matplotlib, which an invalid argument need not wait for

    for path in results.write(out):
        print(path)
    if failed:
        raise ZooError(f"not measured: {', '.join(failed)} (see above); the other parts are in {out}")


def _check(options: argparse.Namespace) -> list[str]:
    """Return the parts to measure, in the order of the page; raises InputError for invalid arguments."""
    for part in options.parts:
        if part not in PARTS:
            raise unknown("part", part, PARTS)
    for name in ("rounds", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: it must be 1 or more")
    if options.device == "cpu" and not options.quick:
        raise InputError("--device cpu is a trial of the part gpu, which measures nothing: give --quick, too")
    if options.against is None and "versions" in options.parts:
        raise InputError("versions compares two checkouts of the library: name the other one with --against DIR")
    if options.against is not None and not (options.against / "mnist_zoo" / "__init__.py").is_file():
        raise InputError(f"--against {options.against} is not a checkout of the library: it has no mnist_zoo/")
    default = [name for name in PARTS if name not in ON_REQUEST]
    wanted = options.parts or (["versions"] if options.against else default)
    others = [name for name in wanted if name not in SELECTABLE]
    if options.only and others:
        raise InputError(f"--only does not apply to {', '.join(others)}: give parts of {', '.join(SELECTABLE)}")
    return [name for name in PARTS if name in wanted]


def _measure(parts: list[str], options: argparse.Namespace, out: Path) -> list[str]:
    """Measure these parts, and return the names of those that failed; one failure does not stop the others."""
    failed = []
    with tempfile.TemporaryDirectory(prefix="mnist_zoo_benchmarks_") as scratch:
        root = data.root(options.data, options.data_root, Path(scratch))
        # Imported here because they import torch and Matplotlib, which an invalid argument need not wait for.
        from benchmarks import results
        from benchmarks.rounds import BenchmarkFailed
        from benchmarks.settings import Settings

        settings = Settings(
            data_root=root,
            data=options.data,
            scratch=Path(scratch),
            quick=options.quick,
            rounds=options.rounds or (2 if options.quick else 7),
            threads=options.threads,
            keras_python=options.keras_python,
            only=tuple(options.only.split(",")) if options.only else (),
            device=options.device,
            against=options.against.resolve() if options.against else None,
        )
        for part in parts:
            print(f"== {part}", flush=True)
            try:
                results.measure(part, settings, out)
            except BenchmarkFailed as error:
                print(f"error: {part}: {error}", file=sys.stderr, flush=True)
                failed.append(part)
    return failed


if __name__ == "__main__":
    main()
