"""The worker's end of the line to its parent. The standard library alone: see `benchmarks.worker`."""

from __future__ import annotations

import json
import os
import time
from typing import TextIO


class Missing(Exception):
    """This contender cannot run here, and no fault of it: the message says what to install."""


class Turn:
    """The worker's end: wait for the parent's word, work, report."""

    def __init__(self, words: TextIO, answers: TextIO):
        self._words, self._answers = words, answers

    def wait(self) -> None:
        """Say that all is ready, and return when the parent says ``go``; without a parent the process ends."""
        self._say({"ready": True})
        if self._words.readline().strip() != "go":
            os._exit(0)  # from the middle of a training: nothing of it is kept
        self._started = time.perf_counter(), time.process_time()

    def lap(self) -> tuple[float, float]:
        """Return seconds and seconds of processor time since `wait` returned."""
        return time.perf_counter() - self._started[0], time.process_time() - self._started[1]

    def report(self, images: int, lap: tuple[float, float] | None = None, **further: float) -> None:
        """Answer with what was done since `wait` returned.

        Args:
            images: how many.
            lap: of the part that is compared, if that is not all of it.
            **further: figures of this contender alone.
        """
        whole = self.lap()
        seconds, cpu_seconds = lap or whole
        times = {"seconds": seconds, "cpu_seconds": cpu_seconds, "whole_seconds": whole[0]}
        self._say({"images": images} | {key: round(value, 6) for key, value in (times | further).items()})

    def missing(self, reason: str) -> None:
        """Answer that this contender cannot run here."""
        self._say({"missing": reason})

    def _say(self, answer: dict) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()
