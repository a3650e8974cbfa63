"""``python -m mnist_zoo``: compose a config with Hydra and run it, once or as a sweep."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.hydra_app.commandline import CONFIG_DIR, explain, prepare, require_multirun
from mnist_zoo.hydra_app.sweep import job_record
from mnist_zoo.runs import FolderInUse, to_json, write_atomically
from mnist_zoo.training.settings import check

_failures: list[ZooError] = []  # of a single run: Hydra prints a header of its own for what a job raises


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")
def train(cfg: DictConfig) -> float:
    """Run one job; its objective is the validation accuracy, or NaN if it failed for a reason that users can mend."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    sweeping = job.mode.name == "MULTIRUN"
    try:
        if job.mode.name == "RUN" and cfg.resume is None:
            require_multirun(job.runtime.choices.experiment, job.sweeper.params or {}, job.overrides.task)
        for key in sorted(OmegaConf.missing_keys(cfg)):
            raise InputError(f"{key} has no value: add {key}=...")
        check(cfg)
        if sweeping:
            write_atomically(folder / "job.json", to_json(job_record(job.overrides.task)))
        from mnist_zoo.training.run import (
            run,  # here: it imports torch and Lightning, which a wrong config need not wait for
        )

        return run(cfg, folder, resume=True if sweeping else None, tune_process=True)
    except Exception as error:
        if cfg.debug or not (sweeping or isinstance(error, ZooError)):
            raise
        if not sweeping:
            _failures.append(error)
        elif not isinstance(error, FolderInUse):  # the sweep goes on; say now what happened, the whole in the folder
            (folder / "traceback.txt").write_text(traceback.format_exc())
            print(f"error: {folder.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return float("nan")


def main() -> None:
    """Entry point of ``python -m mnist_zoo`` and ``mnist-zoo``: exit status 1 and one line for what users can mend."""
    arguments = sys.argv[1:]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing: the messages below are ours
    warnings.showwarning = _show_warning
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.argv[1:] = prepare(arguments)
        train()
    except KeyboardInterrupt as error:
        _stop(str(error) or "interrupted", 130)
    except Exception as error:
        message = str(error) if isinstance(error, ZooError) else explain(error, arguments)
        if isinstance(error, OSError) and error.filename:
            message = f"{error.filename}: {error.strerror}; choose another folder with output_dir=DIR"
        if message is None or "debug=true" in arguments:
            raise
        _stop(message, 1)
    for error in _failures:
        _stop(str(error), 1)


def _stop(message: str, status: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)


def _terminate(number: int, frame: object) -> None:
    """Leave at once: the same command goes on from what is on disk. (While a network trains, `Record` saves first.)"""
    raise KeyboardInterrupt("terminated (SIGTERM)")


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Show a warning as one line, without the code that raised it."""
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
