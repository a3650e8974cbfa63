"""``python -m mnist_zoo``: compose a config with Hydra and run it, once or as a sweep."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mnist_zoo.commandline import CONFIG_DIR, explain, prepare, require_multirun
from mnist_zoo.config import check
from mnist_zoo.errors import InputError, ZooError

_failures: dict[str, ZooError] = {}  # by job folder; Hydra prints a header of its own for what a job raises


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")
def train(cfg: DictConfig) -> float:
    """Run one job; its objective is the validation accuracy, or NaN if it failed for a reason that users can mend."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    try:
        if job.mode.name == "RUN" and cfg.resume is None:
            require_multirun(job.runtime.choices.experiment, job.sweeper.params or {}, job.overrides.task)
        for key in sorted(OmegaConf.missing_keys(cfg)):
            raise InputError(f"{key} has no value: add {key}=...")
        check(cfg)
        from mnist_zoo.train import run  # here: it imports torch and Lightning, which a wrong config need not wait for

        return run(cfg, folder)
    except ZooError as error:
        if cfg.debug:
            raise
        _failures[folder.name] = error
        if job.mode.name == "MULTIRUN":  # the sweep goes on; say now what happened
            print(f"error: {folder.name}: {error}", file=sys.stderr, flush=True)
        return float("nan")


def main() -> None:
    """Entry point of ``python -m mnist_zoo`` and ``mnist-zoo``: exit status 1 and one line for what users can mend."""
    arguments = sys.argv[1:]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing: the messages below are ours
    warnings.showwarning = _show_warning
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
    if _failures:
        sweep = {"-m", "--multirun"} & set(arguments)
        _stop(f"{len(_failures)} failed: {', '.join(_failures)}" if sweep else str(*_failures.values()), 1)


def _stop(message: str, status: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Show a warning as one line, without the code that raised it."""
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
