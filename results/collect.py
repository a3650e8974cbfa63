"""Measured results as data: ``python -m results collect outputs/sweeps/*``, then ``... render``.

`collect` keeps finished runs as rows of ``results/<experiment>.csv`` (``zoo.csv`` for those of no experiment); `render`
writes from those alone ``results/README.md`` and the block between two markers in ``README.md``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.plots.style import duration
from mnist_zoo.plots.tables import markdown
from mnist_zoo.report.ensembles import ensembles
from mnist_zoo.report.published import NEUTRAL, Row, Verdict, measured, published_rows, rows_of
from mnist_zoo.report.reading import name_configurations, read_runs
from mnist_zoo.report.tables import accuracy_cells, against_papers, compare, count_test_accuracies
from mnist_zoo.runs import read_predictions, write_atomically

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
COLUMNS = [
    *("model", "data", "lr", "seed", "epochs_run", "best_epoch", "num_params", "flops", "n_train", "n_val", "n_test"),
    *(f"{split}_{metric}" for split in ("train", "val", "test") for metric in ("acc", "loss")),
    *("fit_seconds", "train_images_per_second", "device", "date", "overrides", "settings"),
]
VERSIONS = ("mnist_zoo", "python", "torch", "pytorch-lightning")
VOTES_FILE = "ensemble_votes.csv"
ZOO = "zoo"  # runs of no experiment: the library's own settings
ZOO_TITLE = "The zoo with the library's defaults"
ZOO_NOTE = (
    "Adam, batch 64, the epoch chosen on 5,000 validation images; test accuracy on the full test set. "
    "A row of one seed has no interval. Times are of a machine busy with other work, and no measure of speed. "
    "Repeat a row with "
    "`python -m mnist_zoo model=... seed=0` (each row's overrides: [zoo.csv](results/zoo.csv))."
)
EXPERIMENTS = {  # experiment: the paper, and where we disagree with it
    "architectures": (
        "Application of Deep Learning Models on MNIST Dataset (2024)",
        "Its learning rate, patience, split and L2 factor are not stated: ours are assumptions. It ranks its six CNNs; "
        "our seeds on the same 10,000 images resolve no pair of them, only each of them from the MLP (the report's "
        "significance says how), and ours stays below its MLP.",
    ),
    "keras_cnn": (
        "A talk on a Keras CNN for digits",
        "Its figures are rounded to whole per cents, and its widths not stated: the CNN that we take does better.",
    ),
    "dropout": (
        "Deep Learning for MNIST Digit Classification",
        "Its training accuracies are running ones, with dropout at work; ours are of the chosen epoch, without. What "
        "it gains by dropout our seeds do not resolve.",
    ),
    "dropout_search": (
        "Deep Learning for MNIST Digit Classification: the search",
        "A search over 18 points on 5,000 images: its best point is the luckiest as well as the best. One seed a "
        "point, three at the paper's best.",
    ),
    "digits_fashion": (
        "Application of Neural Network in Image (2022)",
        "The thesis prints running training accuracies (99.4 and 91.2 %) as its result. Under its flips, which make "
        "digits harder, early stopping ended our seeds soon (epochs below), and they stay under its validation "
        "accuracies: why, we do not know. Ours are in bfloat16 (`trainer.precision=bf16-mixed`), in which these "
        "networks train faster.",
    ),
    "lr_sweep": (
        "Handwritten Digit Recognition using ResNet-18 (2022), Tables 1-3",
        "Its Table 2 is headed LeNet and was measured on torchvision's GoogLeNet: they stand beside googlenet; "
        "the LeNet-5 of its text has none. Many of its differences are within the noise of one run on 10,000 images. "
        "Its MLP hardly depends on the rate, ours with Adam does: the paper does not name its optimizer. Its GoogLeNet "
        "and ResNet-18 score points lower on validation than on test, ours the same on both: why, it does not say.",
    ),
    "lr_sweep_final": (
        "Handwritten Digit Recognition using ResNet-18 (2022), Table 4",
        "As lr_sweep. Losses are printed in per cent; the training times are of a device that the paper does not name.",
    ),
    "ensemble": (
        "An et al. 2020, arXiv 2008.10400",
        "Up to 99.91 % is published for ensembles chosen on the test set; ours are chosen on validation.",
    ),
    "fast99": (
        "The quickest way to 99 %",
        "No paper's: chosen on validation, then tested with 20 seeds. The time is one of a machine busy with other "
        "work, and no measure of speed.",
    ),
}


# -- collect -----------------------------------------------------------------------------------------------------------


def collect(folders: Iterable[str | Path], results: str | Path = "results") -> dict[Path, int]:
    """Add the finished runs of experiments to ``<results>/<experiment>.csv``, one row a run.

    A row replaces an older one of the same configuration and seed. Runs of no experiment go to ``zoo.csv``.

    Returns:
        For each file written the number of rows it got or renewed.

    Raises:
        InputError: if there is no finished run, or none of an experiment that is known here.
    """
    table = read_runs(folders).table
    table["experiment"] = table["experiment"].fillna(ZOO)
    table = table[table["experiment"].isin([ZOO, *EXPERIMENTS])]
    if table.empty:
        raise InputError(f"none of these runs is of a known experiment: {', '.join(EXPERIMENTS)}")
    results = Path(results)
    results.mkdir(parents=True, exist_ok=True)
    written = {}
    for experiment, runs in table.groupby("experiment"):
        path = results / f"{experiment}.csv"
        rows = pd.DataFrame([_record(run) for _, run in runs.iterrows()])
        old = pd.read_csv(path, dtype={"overrides": str}) if path.exists() else rows[:0]
        rows = pd.concat([old, rows]) if len(old) else rows
        rows = rows.drop_duplicates(["settings", "seed"], keep="last").sort_values(["model", "data", "lr", "seed"])
        write_atomically(path, rows.to_csv(index=False))
        written[path] = len(runs)
        if experiment == "ensemble":
            written |= _collect_votes(runs, results / VOTES_FILE)
    return written


def _record(run: pd.Series) -> dict:
    """Return a run as a row: what metrics.json says, and the published scores that only its predictions give."""
    kept = [o for o in run["overrides"] if o.partition("=")[0] not in NEUTRAL]
    record = {column: run.get(column) for column in COLUMNS} | {"overrides": " ".join(kept)}
    record |= {package: run["versions"].get(package) for package in VERSIONS}
    for row in rows_of(run):
        if row.metric not in run and row.metric not in ("claimed_acc", "epochs", "train_seconds"):
            value = measured(row.metric, pd.DataFrame([run]))[0]
            record[row.metric] = value / 100 if row.unit == "%" else value
    return record


def _collect_votes(runs: pd.DataFrame, path: Path) -> dict[Path, int]:
    found = ensembles(runs, [read_predictions(folder) for folder in runs["folder"]])
    if not found:
        return {}
    rows = pd.DataFrame([vars(each) | {"members": "; ".join(each.members)} for each in found])
    write_atomically(path, rows.to_csv(index=False))
    return {path: len(rows)}


def read_results(results: str | Path, experiment: str) -> pd.DataFrame | None:
    """Return an experiment's rows as `Runs.table` has them (without folders), or None if nothing was measured yet."""
    path = Path(results) / f"{experiment}.csv"
    if not path.exists():
        return None
    table = pd.read_csv(path, keep_default_na=False, dtype={"overrides": str}).assign(experiment=experiment)
    settings = [json.loads(text) for text in table["settings"]]
    table["overrides"] = [text.split() for text in table["overrides"]]
    table["augment"] = [each["augment"] for each in settings]
    table["model_options"] = [each["model_options"] for each in settings]
    table["label"] = name_configurations(table)
    return table


# -- render ------------------------------------------------------------------------------------------------------------


def render(results: str | Path = "results") -> tuple[str, str]:
    """Return the text of ``results/README.md`` and of the block in ``README.md``, from the CSV files alone."""
    tables = {experiment: read_results(results, experiment) for experiment in EXPERIMENTS}
    verdicts = [v for table in tables.values() if table is not None for v in against_papers(table)]
    summary = _summary(verdicts)
    pages = ["# Results", "", f"Written by `python -m results render` from the CSV files here. {summary}", ""]
    for experiment, (title, note) in EXPERIMENTS.items():
        own = [v for v in verdicts if v.row.experiment == experiment]
        pages += [f"## `{experiment}`: {title}", "", note, "", *_experiment(experiment, tables[experiment], own), ""]
    votes = Path(results) / VOTES_FILE
    if votes.exists():
        pages += _votes(pd.read_csv(votes))
    zoo = read_results(results, ZOO)
    if zoo is not None:
        note = ZOO_NOTE.replace("results/", "")
        pages += [f"## `{ZOO}`: {ZOO_TITLE}", "", note, "", *_configurations(zoo), ""]
    pages += ["The `masking` figures of the papers wait: no experiment reproduces them yet.", ""]
    page = re.sub(r"\n{3,}", "\n\n", "\n".join(pages))
    block = [f"{summary} Every row, run or not: [results/README.md](results/README.md).", ""]
    block += _overview(verdicts) if verdicts else []
    if zoo is not None:
        block = [f"{ZOO_TITLE}. {ZOO_NOTE}", "", *_configurations(zoo), "", "### Beside the papers", "", *block]
    return page, "\n".join(block) + "\n"


def _summary(verdicts: list[Verdict]) -> str:
    tested, counts = count_test_accuracies(verdicts)
    wanted = sum(row.metric == "test_acc" for row in published_rows())
    return f"Of {wanted} published test accuracies {tested} were run: {counts}."


def _experiment(experiment: str, table: pd.DataFrame | None, verdicts: list[Verdict]) -> list[str]:
    lines = []
    if table is None:
        lines += [f"Not run yet: `python -m mnist_zoo -m experiment={experiment} seed=0,1,2`", ""]
    else:
        lines += [*_configurations(table), ""]
    published = [row for row in published_rows() if row.experiment == experiment]
    if published:
        found = _by_row(verdicts)
        header = ("published row", "data", "figure", "published", "ours", "verdict", "note")
        body = [
            (row.name, row.data, row.metric, f"{row.value:g} {row.unit}", *_ours(found.get(row)), row.note)
            for row in published
        ]
        lines += markdown(header, body)
    return lines


def _configurations(table: pd.DataFrame) -> list[str]:
    shares = "train %", "validation %", "test %"
    header = "configuration", "data", "lr", "epochs", "seeds", "parameters", *shares, "time", "device"
    body = [
        (
            *(row.label, row.data, f"{row.lr:g}", f"{row.epochs:.3g}", row.n, f"{row.num_params:,}"),
            *(*accuracy_cells(row), duration(row.fit_seconds), row.device),
        )
        for row in compare(table).itertuples()
    ]
    return markdown(header, body)


def _overview(verdicts: list[Verdict]) -> list[str]:
    """Return the README's table: for each published row that was run its test accuracy, or validation if no other."""
    found = _by_row(verdicts)
    chosen: dict[tuple, Row] = {}
    for row in published_rows():
        key = (row.experiment, row.name, row.data, row.model)
        if row.metric == "test_acc" or (row.metric == "val_acc" and key not in chosen):
            chosen[key] = row
    header = ("experiment", "model", "data", "figure", "published %", "ours %", "verdict")
    body = [
        (row.experiment, row.name, row.data, row.metric, f"{row.value:g}", *_ours(found.get(row)))
        for row in chosen.values()
        if row in found
    ]
    return markdown(header, body)


def _by_row(verdicts: list[Verdict]) -> dict[Row, Verdict]:
    """Return one verdict a row: where several configurations stand beside it, one that compares."""
    return {v.row: v for v in sorted(verdicts, key=lambda v: v.outcome != "not comparable")}


def _ours(verdict: Verdict | None) -> tuple[str, str]:
    if verdict is None:
        return "-", "not run"
    return verdict.ours, verdict.words


def _votes(votes: pd.DataFrame) -> list[str]:
    header = ("ensemble", "vote", "members", "validation %", "test %")
    body = [
        (
            *(row.name + (" (chosen)" if row.chosen else ""), row.vote, row.members.count(";") + 1),
            *(f"{100 * row.val_acc:.2f}", f"{100 * row.test_acc:.2f}"),
        )
        for row in votes.itertuples(index=False)
    ]
    return ["### Votes, chosen on validation", "", *markdown(header, body), ""]


def replace_block(text: str, block: str) -> str:
    """Return `text` with what stands between the two markers replaced.

    Raises:
        InputError: unless both markers are there, in order, on lines of their own.
    """
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the README has no lines {BEGIN} and {END}: add them where the results table belongs")
    return f"{before}{begin}{block}{end}{after}"


def main() -> None:
    """Entry point of ``python -m results``."""
    parser = argparse.ArgumentParser(prog="python -m results", description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the CSV files")
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("collect", help="finished sweeps into results/<experiment>.csv")
    adding.add_argument("folders", nargs="+", type=Path, help="sweeps or run folders")
    writing = commands.add_parser("render", help="results/README.md and the README's table, from the CSV files")
    writing.add_argument("--readme", type=Path, default=Path("README.md"), help="file with the two markers")
    arguments = parser.parse_args()
    try:
        if arguments.command == "collect":
            for path, count in collect(arguments.folders, arguments.results).items():
                print(f"{path}: {count} rows")
            return
        page, block = render(arguments.results)
        if not arguments.readme.is_file():
            raise InputError(f"there is no file {arguments.readme}: name the README with --readme FILE")
        readme = replace_block(arguments.readme.read_text(), block)
        arguments.results.mkdir(parents=True, exist_ok=True)
        write_atomically(arguments.results / "README.md", page)
        write_atomically(arguments.readme, readme)
        print(f"{arguments.results / 'README.md'} and the results in {arguments.readme} are up to date")
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
