"""Termination signals are held back until the state of training is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any


class TerminationSignals:
    """Holds back SIGTERM, and SIGUSR2 where a handler for it exists (submitit's), between `hold_back` and `release`.

    Batch systems send them before they end a job.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._handlers: dict[int, Callable[..., Any]] = {}  # what the signals did before

    def hold_back(self) -> None:
        """Note signals from now on. Python allows this in the main thread only; elsewhere nothing happens."""
        if threading.current_thread() is not threading.main_thread():
            return

        def note(number: int, frame: object) -> None:
            self.received = number

        for name in ("SIGTERM", "SIGUSR2"):  # SIGUSR2 does not exist on Windows
            number = getattr(signal, name, None)
            handler = signal.getsignal(number) if number is not None else None
            if number is not None and callable(handler):
                self._handlers[number] = handler
                signal.signal(number, note)

    def release(self) -> None:
        """Restore the handlers."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def deliver(self) -> None:
        """Let the received signal take effect now. Training goes on if its handler returns."""
        number, self.received = self.received, None
        if number is not None:
            self.release()
            signal.raise_signal(number)
            self.hold_back()
