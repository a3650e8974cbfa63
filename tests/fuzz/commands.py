"""Run a command of the package as a user does: in this process, where torch is imported once, or in one of its own."""

from __future__ import annotations

import faulthandler
import importlib
import logging
import multiprocessing.util
import os
import resource
import signal
import subprocess
import sys
import time
import tomllib
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from unittest import mock

from fuzz.watch import Watch, watching

ROOT = Path(__file__).parents[2]
LIMIT = 20.0  # seconds of processor time until a command counts as hanging: a busy machine makes none hang
WALL = 6  # how many times longer it may take by the clock
BLOCKED = 8.0  # seconds without any work until it counts as hanging
TICK = 1.0  # seconds between two looks
MEMORY = 4 << 30  # bytes that a command may use in addition to what this process has

ENVIRONMENT = dict(os.environ)  # here: a command in this process may be changing it
# name: module, of every command of the package; `mnist_zoo` is the training
DOORS = {
    name.removeprefix("mnist-zoo").lstrip("-") or "mnist_zoo": target.partition(":")[0]
    for name, target in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items()
}


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        status: exit status, or None if it did not end by itself.
        stdout: what it printed.
        stderr: what it printed there.
        seconds: its duration.
        raised: the traceback of an exception that left the command, or "".
        hung: where it was after the time limit, or "".
        watch: what it wrote and started; None for a process of its own.
    """

    status: int | None
    stdout: str
    stderr: str
    seconds: float
    raised: str = ""
    hung: str = ""
    watch: Watch | None = field(default=None, repr=False)


class Hang(BaseException):
    """The time limit is over. Not an Exception, so that commands do not catch it."""


class Spawned(BaseException):
    """The command started worker processes, which would import this test session."""


def door_main(door: str) -> Callable[[], None]:
    """Return the function that ``python -m <module>`` runs."""
    return importlib.import_module(DOORS[door]).main


def call(door: str | Callable[[], None], words: Sequence[str], cwd: Path, limit: float = LIMIT) -> Outcome:
    """Run a command in this process and restore what it changed of the process."""
    main = door_main(door) if isinstance(door, str) else door
    name = DOORS[door] if isinstance(door, str) else "command"
    raised, hung, status = "", "", None
    start = time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(_process_state(cwd))
        streams = stack.enter_context(_streams())
        stack.enter_context(mock.patch.object(sys, "argv", [name, *words]))
        stack.enter_context(mock.patch.object(multiprocessing.util, "spawnv_passfds", _spawned))
        watch = stack.enter_context(watching())
        stack.enter_context(_memory_limit())
        try:
            with _time_limit(limit):
                main()
            status = 0
        except SystemExit as error:
            status = _status(error)
        except Hang:
            hung = traceback.format_exc()
        except BaseException:  # also KeyboardInterrupt: a command must handle it
            raised, status = traceback.format_exc(), 1
    out, err = streams
    return Outcome(status, out, err, time.perf_counter() - start, raised, hung, watch)


def call_as_process(door: str, words: Sequence[str], cwd: Path, limit: float = 4 * LIMIT) -> Outcome:
    """Run a command in a process of its own."""
    temporary = cwd / ".tmp"
    temporary.mkdir(exist_ok=True)
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", DOORS[door], *words]
    start = time.perf_counter()
    try:
        done = subprocess.run(
            line, cwd=cwd, env=environment, capture_output=True, timeout=limit, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return Outcome(None, "", "", limit, hung=f"no end after {limit} s")
    out, err = (text.decode(errors="backslashreplace") for text in (done.stdout, done.stderr))
    return Outcome(done.returncode, out, err, time.perf_counter() - start)


def _spawned(path: object, arguments: object, *_: object) -> None:
    raise Spawned(f"started a worker process: {arguments}")


def _status(error: SystemExit) -> int:
    """Return the exit status, as Python would at its end."""
    if isinstance(error.code, str):
        print(error.code, file=sys.stderr)
        return 1
    return error.code or 0


def _show_warning(message: Warning | str, category: type[Warning], file: str, line: int, *_: Any) -> None:
    """Print a warning as Python does: pytest collects warnings instead."""
    sys.stderr.write(warnings.formatwarning(message, category, file, line))


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    start, used = time.monotonic(), time.process_time()
    worked = [start, used]  # when it was last seen to work, and the processor time then

    def look(number: int, frame: object) -> None:
        now, busy = time.monotonic(), time.process_time()
        if busy - worked[1] > TICK / 50:
            worked[:] = now, busy
        if busy - used > seconds or now - start > WALL * seconds:
            raise Hang(f"no end after {busy - used:.0f} s of work")
        if now - worked[0] > min(seconds, BLOCKED):
            raise Hang(f"it waited for {now - worked[0]:.0f} s")

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, TICK, TICK)  # repeated, in case the exception is swallowed
    faulthandler.dump_traceback_later(2 * WALL * seconds, exit=True)  # it hangs in compiled code
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _memory_limit() -> Iterator[None]:
    """Let allocations of many gigabytes fail at once, instead of the machine's memory running out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def _streams() -> Iterator[list[str]]:
    """Within a block, collect what is written to the file descriptors 1 and 2; afterwards the list holds both texts."""
    texts: list[str] = []
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile()) for _ in range(2)]
        for number, file in enumerate(files, 1):
            getattr(sys, ("stdout", "stderr")[number - 1]).flush()
            copy = os.dup(number)
            stack.callback(os.close, copy)
            stack.callback(os.dup2, copy, number)
            os.dup2(file.fileno(), number)
        out, err = (
            stack.enter_context(open(number, "w", 1, "utf-8", errors, closefd=False))
            for number, errors in ((1, "strict"), (2, "backslashreplace"))
        )
        with mock.patch.object(sys, "stdout", out), mock.patch.object(sys, "stderr", err):
            yield texts
        for stream, file in zip((out, err), files, strict=True):
            stream.flush()
            file.seek(0)
            texts.append(file.read().decode(errors="backslashreplace"))


@contextmanager
def _process_state(cwd: Path) -> Iterator[None]:
    """Within a block, run in `cwd` with Python's own warnings; restore what commands change of their process."""
    import torch
    from hydra.core.global_hydra import GlobalHydra

    here, environment = os.getcwd(), os.environ.copy()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    root = logging.getLogger()
    logs, level, path = root.handlers[:], root.level, sys.path[:]
    temporary = cwd / ".tmp"
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(temporary)
    os.chdir(cwd)
    try:
        with warnings.catch_warnings(), mock.patch("tempfile.tempdir", str(temporary)):
            warnings.resetwarnings()
            for ignored in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", ignored)  # Python's defaults
            warnings.showwarning = _show_warning  # type: ignore[assignment]  # its options are not used here
            yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        root.handlers[:], root.level, sys.path[:] = logs, level, path
        logging.disable(logging.NOTSET)
        GlobalHydra.instance().clear()
        torch.use_deterministic_algorithms(False)
        torch.set_flush_denormal(False)
        torch.set_num_threads(1)
        if pyplot := sys.modules.get("matplotlib.pyplot"):
            pyplot.close("all")
