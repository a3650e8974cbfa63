"""``python -m mnist_zoo.search search=dropout trials=50``: adaptive search with Optuna, chosen on validation."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from mnist_zoo.errors import InputError, ZooError, unknown
from mnist_zoo.hydra_app.commandline import CONFIG_DIR, compose_config

SETTINGS = ("search", "trials", "study")
BOUNDS = {"low", "high", "log", "step"}


def read_space(name: str) -> dict:
    """Return ``conf/search/<name>.yaml``: ``overrides`` of every trial, and the ``space`` of settings to suggest.

    Each entry of the space has ``choices`` (a list), or ``low`` and ``high`` with ``log`` or ``step`` if wanted (whole
    numbers if both bounds are).

    Raises:
        InputError: unknown name, or an entry that is neither.
    """
    known = [path.stem for path in (CONFIG_DIR / "search").glob("*.yaml")]
    if name not in known:
        raise unknown("search", name, known)
    search = yaml.safe_load((CONFIG_DIR / "search" / f"{name}.yaml").read_text())
    for key, entry in search["space"].items():
        if set(entry) != {"choices"} and not {"low", "high"} <= set(entry) <= BOUNDS:
            raise InputError(f"conf/search/{name}.yaml: {key} needs choices: [...], or low: and high:, not {entry}")
    return search


def search(name: str, trials: int, study: str | None = None, overrides: Sequence[str] = ()) -> Path:
    """Run trials until the study has `trials` of them, finished or pruned, and return the study's folder.

    The study lies in ``<output_dir>/searches/<study>/``: ``study.db`` (sqlite, shared by any number of processes that
    give the same command), ``trials/<number>/`` (a run folder each), ``trials.csv`` and figures. TPE suggests; a trial
    is pruned when its validation accuracy is below the median of the others at the same epoch. The same command
    resumes; a trial whose process died does not count.

    Raises:
        InputError: unknown search or setting, fewer than one trial, or Optuna is not installed.
    """
    if trials < 1:
        raise InputError(f"trials={trials}: it must be 1 or more")
    space = read_space(name)
    overrides = [*space["overrides"], *overrides]
    compose_config(overrides)  # what cannot be stops here, before a study exists
    try:
        import optuna
    except ImportError as error:
        raise InputError("search needs a package that is not installed: pip install 'mnist_zoo[search]'") from error
    from optuna.study import MaxTrialsCallback
    from optuna.trial import TrialState

    from mnist_zoo.training.run import run

    folder = Path(compose_config(overrides)["output_dir"]) / "searches" / (study or name)
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = optuna.create_study(
        study_name=study or name,
        storage=f"sqlite:///{folder}/study.db",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    )

    def objective(trial) -> float:
        suggested = [f"{key}={_suggest(trial, key, entry)}" for key, entry in space["space"].items()]
        print(f"trial {trial.number}: {' '.join(suggested)}", flush=True)
        cfg = compose_config([*overrides, *suggested])
        try:
            return run(cfg, folder / "trials" / str(trial.number), callbacks=[_pruning(trial)])
        except ZooError as error:  # a learning rate that diverges is a result of the search, not its end
            print(f"trial {trial.number} failed: {error}", flush=True)
            return math.nan

    counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    left = trials - len(found.get_trials(deepcopy=False, states=counted))
    if left > 0:
        found.optimize(objective, n_trials=left, callbacks=[MaxTrialsCallback(trials, states=counted)])
    _write(found, folder)
    return folder


def _suggest(trial, key: str, entry: dict):
    if "choices" in entry:
        return trial.suggest_categorical(key, entry["choices"])
    low, high = (float(entry[bound]) if isinstance(entry[bound], str) else entry[bound] for bound in ("low", "high"))
    extra = {option: entry[option] for option in ("log", "step") if option in entry}
    whole = isinstance(low, int) and isinstance(high, int)
    return (trial.suggest_int if whole else trial.suggest_float)(key, low, high, **extra)


def _pruning(trial):
    """Return a callback that reports each epoch's validation accuracy and stops what the study's pruner gives up."""
    import optuna
    from pytorch_lightning.callbacks import Callback

    class Pruning(Callback):
        def on_validation_end(self, trainer, pl_module) -> None:
            trial.report(trainer.callback_metrics["val_acc"].item(), trainer.current_epoch)
            if trial.should_prune():
                raise optuna.TrialPruned(f"pruned after epoch {trainer.current_epoch + 1}")

    return Pruning()


def _write(study, folder: Path) -> None:
    """Write ``trials.csv`` and the study's figures, and print the best trial."""
    import warnings

    import matplotlib

    matplotlib.use("Agg")
    from optuna.trial import TrialState
    from optuna.visualization import matplotlib as plots

    from mnist_zoo.report.studies import FIGURE_DPI

    study.trials_dataframe().to_csv(folder / "trials.csv", index=False)
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    counts = {state.name.lower(): sum(t.state is state for t in study.get_trials()) for state in TrialState}
    print(f"{folder}: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count))
    if not finished:
        return
    figures = {"history": plots.plot_optimization_history, "curves": plots.plot_intermediate_values}
    if len(finished) > 1:
        figures |= {"slices": plots.plot_slice, "importances": plots.plot_param_importances}
    for name, draw in figures.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls its matplotlib figures experimental, each time
            axes = draw(study)
        figure = axes.flat[0].figure if hasattr(axes, "flat") else axes.figure
        if name == "slices":
            figure.set_size_inches(4 * len(finished[0].params) + 1.5, 4.5)  # its labels stand on each other otherwise
        figure.savefig(folder / f"{name}.png", dpi=FIGURE_DPI, bbox_inches="tight")
    best = study.best_trial
    settings = " ".join(f"{key}={value}" for key, value in best.params.items())
    print(f"best by validation: trial {best.number}, val {best.value:.4f}: {settings}")
    print(f"  run folder: {folder / 'trials' / str(best.number)}")


def main() -> None:
    """Entry point of ``python -m mnist_zoo.search`` and ``mnist-zoo-search``."""
    parser = argparse.ArgumentParser(
        prog="python -m mnist_zoo.search", description="Search settings with Optuna, chosen on validation accuracy."
    )
    parser.add_argument(
        "words", nargs="+", metavar="key=value", help="search=NAME (of conf/search), trials=N, study=NAME, any override"
    )
    words = parser.parse_args().words
    try:
        given = dict(word.partition("=")[::2] for word in words if word.partition("=")[0] in SETTINGS)
        overrides = [word for word in words if word.partition("=")[0] not in SETTINGS]
        for word in overrides:
            near = difflib.get_close_matches(word.partition("=")[0], SETTINGS, cutoff=0.75)
            if near:
                raise InputError(f"unknown setting '{word.partition('=')[0]}'; did you mean {near[0]}?")
        if "search" not in given:
            raise InputError("which search? add search=NAME, a file of conf/search")
        if not given.get("trials", "20").isdigit():
            raise InputError(f"trials={given['trials']}: it must be a whole number")
        search(given["search"], int(given.get("trials", 20)), given.get("study"), overrides)
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
