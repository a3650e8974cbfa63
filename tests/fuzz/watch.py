"""What a command does to the machine: the files that it writes, the programs that it starts, its use of the network."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
           "os.chown", "os.utime", "shutil.rmtree", "shutil.move", "sqlite3.connect"}  # fmt: skip
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"}
NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.bind"}
OTHER_THREADS = "fuzz"  # threads with this name start the processes of other cases


@dataclass
class Watch:
    """What happened within `watching`: paths written, programs started, network used."""

    written: set[Path] = field(default_factory=set)
    programs: list[str] = field(default_factory=list)

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note one audit event of Python. The network is refused, as on a machine without a connection."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes, os.PathLike)) and flags is not None and flags & WRITING:
                self._wrote(path)
        elif event in CHANGES:
            for path, folder in _changed(event, arguments):
                if isinstance(path, (str, bytes, os.PathLike)):
                    self._wrote(os.path.join(folder, os.fsdecode(path)))
        elif event in PROGRAMS:
            self.programs.append(f"{event} {arguments[0]}")
        elif event in NETWORK and not isinstance(arguments[-1], (str, bytes)):
            raise OSError(101, "Network is unreachable")

    def _wrote(self, path: str | bytes | os.PathLike[Any]) -> None:
        folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
        if not name.startswith(":memory:"):
            self.written.add(Path(os.path.realpath(folder), name))


def _changed(event: str, arguments: tuple[Any, ...]) -> list[tuple[Any, str]]:
    """Return the paths that an event changes, each with the folder that it is relative to."""
    paths = arguments[:2] if event in ("os.rename", "os.link", "shutil.move") else arguments[:1]
    numbers = [number for number in arguments[len(paths) :] if isinstance(number, int)]
    folder = "."
    if event in ("os.remove", "os.rmdir", "os.mkdir") and numbers[-1] >= 0:  # relative to an open folder
        folder = os.readlink(f"/proc/self/fd/{numbers[-1]}")
    return [(path, folder) for path in paths]


_active: list[Watch] = []
_installed = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _active and not threading.current_thread().name.startswith(OTHER_THREADS):
        _active[-1].note(event, arguments)


@contextmanager
def watching() -> Iterator[Watch]:
    """Within a block, note what Python code of this process does. Audit hooks stay, so one is installed for all."""
    global _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    watch = Watch()
    _active.append(watch)
    try:
        yield watch
    finally:
        _active.pop()


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return kind, size and time of change of everything below a folder, by relative path. Links are not followed."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(root, name)
            info = os.lstat(path)
            kind = stat.S_IFMT(info.st_mode)
            size = () if stat.S_ISDIR(info.st_mode) else (info.st_size, info.st_mtime_ns)
            found[os.path.relpath(path, folder)] = (kind, *size)
    return found
