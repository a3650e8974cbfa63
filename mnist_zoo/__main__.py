"""``python -m mnist_zoo``: compose a configuration with Hydra and run it, once or as a sweep."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TextIO

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mnist_zoo.command import INTERRUPTED, leave_closed_pipe, stop
from mnist_zoo.errors import ZooError, printable
from mnist_zoo.hydra_app.arguments import prepare, require_multirun
from mnist_zoo.hydra_app.compose import CONFIG_DIR, require_all_values
from mnist_zoo.hydra_app.config_dir import VERSION_BASE
from mnist_zoo.hydra_app.explain import explain
from mnist_zoo.hydra_app.launching import Failed, has_own_log, how_to_continue, launcher_class, reason_of, shares_output
from mnist_zoo.hydra_app.lazy_help import lazy_help
from mnist_zoo.hydra_app.names import register_resolvers
from mnist_zoo.hydra_app.plan import config_folders, write_job_record
from mnist_zoo.hydra_app.running import load_run
from mnist_zoo.internals import keep_tensorflow_out
from mnist_zoo.runs import FolderInUse, RunFolder
from mnist_zoo.settings import check

# Here and not in `main`: a worker process of a launcher imports this module for `train` and then composes its job.
register_resolvers()

_failures: list[ZooError] = []  # of a single run. If a job raises, Hydra prints lines of its own.


def train(cfg: DictConfig) -> float:
    """Run one job; return the validation accuracy, or NaN if the job failed for a reason that users can correct."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    sweeping, launcher = job.mode == RunMode.MULTIRUN, launcher_class(job)
    try:
        if not sweeping and cfg.resume is None:
            require_multirun(job.runtime.choices["experiment"], job.sweeper.params or {}, job.overrides.task)
        require_all_values(cfg)
        check(cfg)
        if sweeping:
            write_job_record(folder, job.overrides.task, config_folders(job))
        silent = sweeping and shares_output(launcher)
        if silent and cfg.progress == "auto":
            cfg.progress = "none"
        run = load_run(cfg, silent=silent)
        keep_tensorflow_out()
        return run(cfg, folder, resume=True if sweeping else None, tune_process=True, brief=sweeping)
    except Exception as error:
        if cfg.debug or not (sweeping or isinstance(error, ZooError)):
            raise
        if isinstance(error, ZooError) and not sweeping:
            _failures.append(error)
            return float("nan")
        if not isinstance(error, FolderInUse):  # the sweep continues with its next job
            with suppress(ZooError):  # the disk may be full
                RunFolder(folder).write_traceback()
            if has_own_log(launcher):
                print(printable(f"error: {reason_of(error)}"), file=sys.stderr, flush=True)
        return Failed(reason_of(error))
    except KeyboardInterrupt as error:
        raise error if sweeping else KeyboardInterrupt(how_to_continue(error, folder, cfg.plugins)) from error


def main() -> None:
    """Entry point of ``python -m mnist_zoo`` and ``mnist-zoo``.

    An error that users can correct is one line on stderr and exit status 1.
    """
    arguments = sys.argv[1:]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors instead of printing them
    warnings.showwarning = _show_warning
    signal.signal(signal.SIGTERM, _terminate)
    _failures.clear()
    program = hydra.main(version_base=VERSION_BASE, config_path=str(CONFIG_DIR), config_name="config")(train)
    try:
        sys.argv[1:] = prepare(arguments)
        with lazy_help():
            program()
        sys.stdout.flush()  # here, so that a closed pipe shows within this block
    except KeyboardInterrupt as error:
        stop(str(error) or "interrupted", INTERRUPTED)
    except BrokenPipeError:
        leave_closed_pipe()
    except Exception as error:
        message = str(error) if isinstance(error, ZooError) else explain(error, arguments)
        if message is None or "debug=true" in arguments:
            raise
        stop(message)
    for failure in _failures:
        stop(failure)


def _terminate(number: int, frame: object) -> NoReturn:
    """Stop at SIGTERM as at Ctrl-C. During training, a handler of `mnist_zoo.training` saves a checkpoint first."""
    raise KeyboardInterrupt("terminated (SIGTERM)")


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line, without the source line that raised it."""
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    # Call `main` of the imported module: worker processes must find `train` as mnist_zoo.__main__.train.
    from mnist_zoo.__main__ import main as imported_main

    imported_main()
