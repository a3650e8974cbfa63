"""``python -m results collect|robustness|render|ship|...``: keep results, write their tables, make shipped weights."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mnist_zoo.command import one_line_errors
from mnist_zoo.errors import InputError, unknown
from mnist_zoo.runs import Damaged

FOLDER = Path("results")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m results``: known errors print one line and exit with status 1."""
    options = _parser().parse_args(arguments)
    with one_line_errors():
        commands = {
            "collect": _collect,
            "robustness": _robustness,
            "searches": _searches,
            "render": _render,
            "candidate": _candidate,
            "sets": _sets,
            "missing": _missing,
            "ship": _ship,
            "thresholds": _thresholds,
        }
        commands[options.command](options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m results", description="Tools for maintainers.")
    parser.add_argument(
        "--results", type=Path, default=FOLDER, metavar="DIR", help=f"folder of the CSV files ({FOLDER})"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    collect = commands.add_parser("collect", help="add finished runs to <results>/<experiment>.csv")
    collect.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweeps or run folders")
    measured = commands.add_parser("robustness", help="add what evaluate measured to <results>/robustness.csv")
    measured.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweeps or run folders")
    studies = commands.add_parser("searches", help="add what searches found to <results>/searches.csv")
    studies.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="folders of studies")
    render = commands.add_parser("render", help="write <results>/README.md and the README's summary from the CSV files")
    render.add_argument("--readme", type=Path, default=Path("README.md"), metavar="FILE", help="file with the markers")
    ship = commands.add_parser("ship", help="make the weights that come with the package from finished runs")
    ship.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="finished run folders")
    ship.add_argument("--data-root", default="data", metavar="DIR", help="folder of the data set's files (data)")
    ship.add_argument("--to", type=Path, metavar="DIR", help="output folder (the package)")
    ship.add_argument("--variant", default="", metavar="WORD", help="added to the file's name: robust")
    measured = commands.add_parser("thresholds", help='measure "not a digit?" of the shipped weights, for their cards')
    measured.add_argument("--data-root", default="data", metavar="DIR", help="folder of the data set's files (data)")
    measured.add_argument("--to", type=Path, metavar="DIR", help="folder of the weights (the package)")
    candidate = commands.add_parser("candidate", help="train a candidate for a recipe, without its test")
    candidate.add_argument("recipe", metavar="RECIPE", help="such as fast995")
    candidate.add_argument("settings", nargs="+", metavar="OVERRIDE", help="of python -m mnist_zoo")
    sets = commands.add_parser("sets", help="choose ensembles of quick recipes on validation, and test each once")
    sets.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweeps of the recipes")
    lacking = commands.add_parser("missing", help="list the runs that the tables need and the CSV files lack")
    lacking.add_argument(
        "--experiment", metavar="NAME", help="only of this experiment (zoo: of the library's defaults)"
    )
    lacking.add_argument("--run", action="store_true", help="train them in this order, and collect each")
    lacking.add_argument("--hours", type=float, default=1e9, metavar="H", help="with --run: stop after H hours")
    lacking.add_argument("--at-once", type=int, default=1, metavar="N", help="with --run: N processes (1), for a GPU")
    lacking.add_argument("--data-root", metavar="DIR", help="with --run: folder of the data sets' files")
    lacking.add_argument(
        "--output-dir", type=Path, default=Path("outputs"), metavar="DIR", help="of the runs (outputs)"
    )
    return parser


# Each command imports its module itself: --help and invalid arguments need not wait for pandas and torch.


def _collect(options: argparse.Namespace) -> None:
    from results.collect import collect

    damaged = Damaged()
    for path, count in collect(options.folders, options.results, damaged).items():
        print(f"{path}: {count} rows")
    print("next: python -m results render")
    damaged.stop()


def _robustness(options: argparse.Namespace) -> None:
    from results.robustness import collect_measurements

    damaged = Damaged()
    for path, count in collect_measurements(options.folders, options.results, damaged).items():
        print(f"{path}: {count} rows")
    print("next: python -m results render")
    damaged.stop()


def _searches(options: argparse.Namespace) -> None:
    from results.searches import collect_searches

    for path, count in collect_searches(options.folders, options.results).items():
        print(f"{path}: {count} rows")
    print("next: python -m results render")


def _render(options: argparse.Namespace) -> None:
    from results.render import write

    write(options.results, options.readme)
    print(f"{options.results / 'README.md'} and the results in {options.readme} are up to date")


def _candidate(options: argparse.Namespace) -> None:
    from results.candidates import measure
    from results.records import RECIPES

    if options.recipe not in RECIPES:
        raise unknown("recipe", options.recipe, RECIPES)
    rows = measure(options.recipe, options.settings, options.results)
    mean, seconds = rows["val_acc"].mean(), rows["fit_seconds"].mean()
    each = ", ".join(f"{accuracy:.4f}" for accuracy in rows["val_acc"])
    print(f"validation {mean:.4f} ({each}), {seconds:.1f} s, {rows['num_params'].iloc[0]:,} parameters")


def _sets(options: argparse.Namespace) -> None:
    from results.sets import collect_sets

    for row in collect_sets(options.folders, options.results).itertuples():
        print(f"set {row.set}: validation {row.val_acc:.4f}, test {row.test_acc:.4f}, {row.members}")
    print("next: python -m results render")


def _missing(options: argparse.Namespace) -> None:
    from mnist_zoo.hydra_app.overrides import quote_path
    from results.plan import missing, train

    found = list(missing(options.results, options.experiment))
    for each in found:
        experiment, words = each.planned.experiment, " ".join(each.planned.settings)
        print(f"{experiment:24} {words:60} seeds {','.join(map(str, each.seeds)):20} {each.hours:6.1f} h")
    total = sum(each.hours for each in found)
    print(f"{sum(len(each.seeds) for each in found)} runs are missing, about {total:.0f} hours on one core of a CPU")
    until = time.monotonic() + 3600 * options.hours
    root = [] if options.data_root is None else [quote_path(f"data.root={options.data_root}")]
    if options.run and train(found, options.output_dir, options.results, until, at_once=options.at_once, words=root):
        print("next: python -m results render")


def _ship(options: argparse.Namespace) -> None:
    from mnist_zoo.runs import read_metrics

    for run in options.runs:
        if read_metrics(run) is None:
            raise InputError(f"{run} is not a finished run folder (it has no metrics.json)")
    from mnist_zoo.weights import FOLDER as PACKAGE
    from results.ship import ship

    for run in options.runs:
        card = ship(run, options.data_root, options.to or PACKAGE, options.variant)
        print(
            f"{card['file']}: {card['bytes']:,} bytes, {card['dtype']}, validation {card['val_acc']:.4f}, "
            f"test {card['test_acc']:.4f} ({card['test_acc_float32']:.4f} as trained)",
            flush=True,
        )


def _thresholds(options: argparse.Namespace) -> None:
    from mnist_zoo.weights import FOLDER as PACKAGE
    from results.ship import write_thresholds

    for file, value in write_thresholds(options.data_root, options.to or PACKAGE).items():
        print(f"{file}: not a digit below {value:.4f}")


if __name__ == "__main__":
    main()
