"""The worker's side of the conversation with its parent. It imports the standard library only: see `worker`."""

from __future__ import annotations

import json
import os
import time
from typing import Any, TextIO


class Missing(Exception):
    """This contender cannot run here; the message says what to install."""


class Turn:
    """The worker's side: wait for the parent, work, report.

    Args:
        words: the parent's words, a line each.
        answers: where the worker's answers go, as lines of JSON.
    """

    def __init__(self, words: TextIO, answers: TextIO):
        self._words, self._answers = words, answers

    def wait(self) -> None:
        """Say that the worker is ready, and return when the parent says ``go``; end the process if the parent ends."""
        self._say({"ready": True})
        if self._words.readline().strip() != "go":
            os._exit(0)  # in the middle of a training, of which nothing is kept
        self._started = time.perf_counter(), time.process_time()

    def lap(self) -> tuple[float, float]:
        """Return the seconds, and the seconds of processor time, since `wait` returned."""
        return time.perf_counter() - self._started[0], time.process_time() - self._started[1]

    def report(self, images: int, lap: tuple[float, float] | None = None, **further: float | str) -> None:
        """Answer with the result since `wait` returned.

        Args:
            images: how many images were processed.
            lap: of the part that is compared, if that is not everything.
            **further: metrics, or words, that only this contender has.
        """
        whole = self.lap()
        seconds, cpu_seconds = lap or whole
        times = {"seconds": seconds, "cpu_seconds": cpu_seconds, "whole_seconds": whole[0]}
        found = {key: value if isinstance(value, str) else round(value, 6) for key, value in (times | further).items()}
        self._say({"images": images} | found)

    def missing(self, reason: str) -> None:
        """Answer that this contender cannot run here."""
        self._say({"missing": reason})

    def _say(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()
