"""Adaptive search with Optuna. Trials are compared by validation accuracy."""

from __future__ import annotations

import importlib.util
import json
import math
import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_zoo.errors import InputError, StorageError, ZooError, install_command, unknown
from mnist_zoo.hydra_app.answer import result_text
from mnist_zoo.hydra_app.compose import compose_config, parsed_words
from mnist_zoo.hydra_app.overrides import top_level_key, value_text
from mnist_zoo.hydra_app.running import load_run
from mnist_zoo.hydra_app.search_space import is_file, read_space, suggest, values_of
from mnist_zoo.runs import read_metrics
from mnist_zoo.runs.identity import comparable, differences
from mnist_zoo.settings import check
from mnist_zoo.settings.checks import file_name, integer

if TYPE_CHECKING:
    import optuna
    from pytorch_lightning.callbacks import Callback

ALGORITHMS = ("tpe", "random", "genetic")
MOST_TRIALS = 100_000
_TRIALS = integer(1, MOST_TRIALS)
# Settings of runs and sweeps, which would do nothing here, and what to do instead.
REFUSED = {
    "resume": "the same command continues a search",
    "sweep": "name the search with study=NAME",
    "on_change": "a search with other settings needs another study=NAME",
    "hydra": "start the same command several times to run trials at the same time",
}


class SearchFailed(ZooError):
    """Every trial of a study failed."""


class _Interrupted(BaseException):
    """Ctrl-C within a trial. Optuna would record KeyboardInterrupt as a failure, which counts as a trial."""


def search(
    name: str,
    trials: int,
    study: str | None = None,
    overrides: Sequence[str] = (),
    algorithm: str = "tpe",
    prune: bool = True,
) -> Path:
    """Run trials until the study has `trials` of them (finished, pruned or failed), and return the study's folder.

    The folder ``<output_dir>/searches/<study>/`` holds ``study.db`` (sqlite; several processes with the same command
    share it), ``trials/<number>/`` (a run folder each), ``trials.csv`` and plots. The same command continues a study. A
    trial that was interrupted, or whose process was killed, does not count. With one process, the same `seed` suggests
    the same settings again.

    Args:
        name: a file of ``conf/search``, or the path of a YAML file (see `read_space`).
        trials: number of trials of the study, at least 1.
        study: name of the study; by default `name`, or the name of the file.
        overrides: further ones of every trial.
        algorithm: ``tpe``, ``random``, or ``genetic`` (see `mnist_zoo.hydra_app.genetic`).
        prune: whether a trial stops if its validation accuracy is below the median of the others at this epoch. Trials
            of a genetic search never do: children know more from the start.

    Raises:
        InputError: if a name or a setting is invalid, the study was made with other settings, or Optuna is not
            installed.
        StorageError: if the study's database is damaged, locked, or cannot be written.
        SearchFailed: if every trial failed.
        KeyboardInterrupt: after Ctrl-C; its message says how to continue.
    """
    space = read_space(name)
    study = (Path(name).stem if is_file(name) else name) if study is None else study
    _check_words(study, trials, algorithm, overrides, space["space"])
    overrides = [*space["overrides"], *overrides]
    cfg = compose_config(overrides)  # an invalid setting raises before a study exists
    check(cfg)
    _check_values(overrides, space["space"])
    folder = _folder(cfg["output_dir"], study)
    folder.mkdir(parents=True, exist_ok=True)

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("algorithm", algorithm)
        try:
            return _run_trial(trial, space["space"], overrides, folder / "trials" / str(trial.number))
        except KeyboardInterrupt as error:
            raise _Interrupted from error

    with _database_errors(folder / "study.db"):
        found = _open_study(study, folder, algorithm, cfg["seed"], prune)
        _require_same(found, folder, _made_with(space, cfg, algorithm, prune))
        try:
            _complete(found, trials, objective, folder)
        except _Interrupted as error:
            message = "interrupted; the same command continues the search, and the trial under way does not count"
            raise KeyboardInterrupt(message) from error
    return folder


def _complete(study: optuna.Study, trials: int, objective: Callable[[optuna.Trial], float], folder: Path) -> None:
    """Run trials until a study has `trials` of them, and write its results; raise SearchFailed if none succeeded."""
    from optuna.study import MaxTrialsCallback
    from optuna.trial import TrialState

    counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    left = trials - len(study.get_trials(deepcopy=False, states=counted))
    if left > 0:
        study.optimize(objective, n_trials=left, callbacks=[MaxTrialsCallback(trials, states=counted)])
    _write_results(study, folder)
    if all(trial.state is TrialState.FAIL for trial in study.get_trials(deepcopy=False, states=counted)):
        raise SearchFailed(f"all trials in {folder} failed, for the reasons above: choose another study=NAME")


def _open_study(name: str, folder: Path, algorithm: str = "tpe", seed: int = 0, prune: bool = True) -> optuna.Study:
    """Return the study in ``study.db``, which is created if it is not there."""
    import optuna

    from mnist_zoo.hydra_app.samplers import sampler

    median = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=name,
        storage=f"sqlite:///{folder}/study.db",
        direction="maximize",
        load_if_exists=True,
        sampler=sampler(algorithm, seed),
        pruner=median if prune and algorithm != "genetic" else optuna.pruners.NopPruner(),
    )


def _folder(output_dir: str, study: str) -> Path:
    """Return the folder of a study. Raises InputError if Optuna is not installed, or cannot have a database there."""
    if importlib.util.find_spec("optuna") is None:
        raise InputError(f"search needs a package that is not installed: {install_command('search')}")
    folder = Path(output_dir) / "searches" / study
    if "?" in str(folder):  # the address of a database ends there: it would be another file
        raise InputError(f"output_dir={output_dir}: a search needs a folder without ? in its name")
    return folder


def _check_words(study: str, trials: int, algorithm: str, overrides: Sequence[str], space: Mapping[str, Any]) -> None:
    """Raise InputError for an invalid setting of a search, and for overrides that it would ignore."""
    if algorithm not in ALGORITHMS:
        raise unknown("algorithm", algorithm, ALGORITHMS)
    for key, value, problem in (("trials", trials, _TRIALS(trials)), ("study", study, file_name(study))):
        if problem:
            raise InputError(f"{key}={value}: {problem}")
    for override in parsed_words(overrides):
        key = override.key_or_group
        if top_level_key(key) in REFUSED:
            raise InputError(f"{override.input_line}: not in a search: {REFUSED[top_level_key(key)]}")
        if key in space:
            raise InputError(f"{override.input_line}: {key} is one of the searched settings: {', '.join(space)}")
        if override.is_sweep_override():
            raise InputError(f"{override.input_line}: in a search each setting has one value, or is part of the space")


def _check_values(overrides: Sequence[str], space: Mapping[str, Any]) -> None:
    """Raise InputError for a setting of a space that does not exist, or a choice or an end of a range that is invalid.

    The first values of all settings are checked together, then the second ones, and so on.
    """
    values = {key: values_of(entry) for key, entry in space.items()}
    for number in range(max(map(len, values.values()))):
        words = [_word(key, each[min(number, len(each) - 1)]) for key, each in values.items()]
        check(compose_config([*overrides, *words]))


def _word(key: str, value: object) -> str:
    return f"{key}={value_text(value)}"


def _made_with(space: Mapping[str, Any], cfg: Mapping[str, Any], algorithm: str, prune: bool) -> dict[str, Any]:
    """Return what must stay the same when a study continues. TPE and pruning, the defaults, are not recorded."""
    how: dict[str, Any] = {} if algorithm == "tpe" else {"algorithm": algorithm}
    how |= {} if prune else {"prune": False}
    return {"space": space["space"], "config": comparable(cfg), **how}


def _require_same(study: optuna.Study, folder: Path, made_with: dict[str, Any]) -> None:
    """Record what a study is made with; raise InputError if it was made with other settings.

    Studies of version 0.1.0 have no record, and are continued.
    """
    recorded = study.user_attrs.get("made_with")
    if recorded is None:
        if not study.get_trials(deepcopy=False):
            study.set_user_attr("made_with", made_with)
        return
    changed = differences(recorded, json.loads(json.dumps(made_with)))
    if changed:
        raise InputError(
            f"{folder} was made with other settings ({'; '.join(changed[:5])}): give the same ones, or choose another "
            f"study=NAME"
        )


@contextmanager
def _database_errors(path: Path) -> Iterator[None]:
    """Raise StorageError, which is one line, for a database that is damaged, locked or cannot be written."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, OptunaError) as error:
        reason = next(iter(str(getattr(error, "orig", None) or error).splitlines()), type(error).__name__)
        raise StorageError(
            f"{path} cannot be used ({reason}): if another program uses it, or the disk is full, try again; if it is "
            f"damaged, choose another study=NAME"
        ) from error


def _run_trial(trial: optuna.Trial, space: Mapping[str, Any], overrides: Sequence[str], folder: Path) -> float:
    """Return the validation accuracy of one trial, or NaN, which Optuna records as a failed trial."""
    from mnist_zoo.hydra_app.genetic import inherited_weights  # here: it imports Optuna

    suggested = [_word(key, suggest(trial, key, entry)) for key, entry in space.items()]
    inherited = inherited_weights(trial, folder.parent)
    print(f"trial {trial.number}: {' '.join([*suggested, *inherited])}", flush=True)
    try:
        cfg = compose_config([*overrides, *suggested, *inherited])
        run = load_run(cfg)
        accuracy = run(cfg, folder, callbacks=[_pruning(trial)], brief=True)
    except ZooError as error:  # such as a learning rate with which training diverges: the search continues
        print(f"trial {trial.number} failed: {error}", flush=True)
        return math.nan
    metrics = read_metrics(folder)
    assert metrics is not None, "a run that ends without an error has written them"
    print(f"trial {trial.number}: {result_text(metrics)}", flush=True)
    return accuracy


def _pruning(trial: optuna.Trial) -> Callback:
    """Return a callback that reports the validation accuracy of each epoch and stops a trial that Optuna prunes."""
    import optuna
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import Callback

    class Pruning(Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trial.report(trainer.callback_metrics["val_acc"].item(), trainer.current_epoch)
            if trial.should_prune():
                raise optuna.TrialPruned(f"pruned after epoch {trainer.current_epoch + 1}")

    return Pruning()


def _write_results(study: optuna.Study, folder: Path) -> None:
    """Write ``trials.csv`` and the plots, and print the best trial."""
    from optuna.trial import TrialState

    study.trials_dataframe().to_csv(folder / "trials.csv", index=False)
    counts = {state.name.lower(): sum(t.state is state for t in study.get_trials()) for state in TrialState}
    print(f"{folder}: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count))
    if not counts["complete"]:
        return
    _draw(study, folder)
    best = study.best_trial
    settings = " ".join(_word(key, value) for key, value in best.params.items())
    print(f"best by validation: trial {best.number}, val {best.value:.4f}: {settings}")
    print(f"  run folder: {folder / 'trials' / str(best.number)}")
    print(f"next: python -m mnist_zoo.report {shlex.quote(str(folder))} --open")


def _draw(study: optuna.Study, folder: Path) -> None:
    """Write Optuna's plots of a study with at least one finished trial as PNG files.

    Importances (fANOVA) need trials of different accuracy.
    """
    import matplotlib
    import optuna

    matplotlib.use("Agg")
    from optuna.trial import TrialState
    from optuna.visualization import matplotlib as plots

    from mnist_zoo.plots.search import restyle
    from mnist_zoo.plots.style import FIGURE_DPI, style

    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    draw: dict[str, Callable[..., Any]] = {"history": plots.plot_optimization_history}
    if any(trial.intermediate_values for trial in finished):  # a classical model has no epochs
        draw["curves"] = plots.plot_intermediate_values
    if len(finished) > 1:
        draw["slices"] = plots.plot_slice
    if len({trial.value for trial in finished}) > 1:
        # By name: the default of Optuna 5 is another method. The seed makes the plot of a study reproducible.
        fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
        draw["importances"] = partial(plots.plot_param_importances, evaluator=fanova)
    elif len(finished) > 1:  # there is no variance to explain
        print("no importances.png: the accuracy of all finished trials is the same")
    for name, plot in draw.items():
        with style(), warnings.catch_warnings():  # Optuna chooses another style, which ends with the block
            warnings.simplefilter("ignore")  # Optuna warns that its matplotlib plots are experimental
            axes = plot(study)
            figure: Any = axes.flat[0].figure if hasattr(axes, "flat") else axes.figure
            restyle(figure, name)
            if name == "slices":
                figure.set_size_inches(4 * len(finished[0].params) + 1.5, 4.5)  # else the axis labels overlap
            figure.savefig(folder / f"{name}.png", dpi=FIGURE_DPI, bbox_inches="tight")


def best_settings(folder: Path) -> list[str]:
    """Return the searched settings of a study's best trial as overrides.

    Args:
        folder: that `search` returned.

    Raises:
        StorageError: if the study cannot be read.
    """
    with _database_errors(folder / "study.db"):
        best = _open_study(folder.name, folder).best_trial
        return [_word(key, value) for key, value in best.params.items()]
