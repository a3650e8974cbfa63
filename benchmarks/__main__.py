"""``python -m benchmarks``: measure parts, keep every round in results.json, and write results.md and the figures."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import __doc__ as ABOUT
from benchmarks import data
from benchmarks.parts import NAMES
from mnist_zoo.errors import InputError, ZooError, unknown

HERE = Path(__file__).parent


def main() -> None:
    """Entry point: exit status 1 and one line for what users can mend."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="just enough to see that all works")
    parser.add_argument("--render", action="store_true", help="measure nothing: write again what results.json gives")
    parser.add_argument("--data", choices=("mnist", "mnist5k"), default="mnist", help="mnist5k: 5,000 digits, repeated")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, help="that count: 7, or 2 with --quick")
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--keras-python", default=sys.executable, metavar="PATH", help="interpreter that has Keras")
    parser.add_argument("--out", type=Path, help="folder to write to: benchmarks, or outputs/benchmarks with --quick")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also when it is told to stop, it cleans up
    try:
        _run(arguments)
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: interrupted; the parts before are in results.json", file=sys.stderr)
        sys.exit(130)


def _run(arguments: argparse.Namespace) -> None:
    for part in arguments.parts:
        if part not in NAMES:
            raise unknown("part", part, NAMES)
    for name in ("rounds", "threads"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: it must be 1 or more")
    out = arguments.out or (Path("outputs/benchmarks") if arguments.quick else HERE)
    failed = [] if arguments.render else _measure(arguments, out)
    from benchmarks import results

    for path in results.write(out):
        print(path)
    if failed:
        raise ZooError(f"not measured: {', '.join(failed)} (see above); the others are in {out}")


def _measure(arguments: argparse.Namespace, out: Path) -> list[str]:
    """Measure the parts asked for, and return the names of those that failed: hours of the others are not lost."""
    failed = []
    with tempfile.TemporaryDirectory(prefix="mnist_zoo_benchmarks_") as scratch:
        root = data.root(arguments.data, arguments.data_root, Path(scratch))
        # Here, because it imports torch and Matplotlib, which a wrong argument need not wait for.
        from benchmarks import results
        from benchmarks.rounds import BenchmarkFailed
        from benchmarks.settings import Settings

        settings = Settings(
            data_root=root,
            data=arguments.data,
            scratch=Path(scratch),
            quick=arguments.quick,
            rounds=arguments.rounds or (2 if arguments.quick else 7),
            threads=arguments.threads,
            keras_python=arguments.keras_python,
        )
        for part in [name for name in NAMES if name in (arguments.parts or NAMES)]:
            print(f"== {part}", flush=True)
            try:
                results.measure(part, settings, out)
            except BenchmarkFailed as error:
                print(f"error: {part}: {error}", file=sys.stderr, flush=True)
                failed.append(part)
    return failed


if __name__ == "__main__":
    main()
