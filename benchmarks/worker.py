"""A contender's process: it works when its parent says so. Started by `benchmarks.rounds`, never by hand.

Parent and worker talk in lines of JSON: the worker says that it is ready, the parent ``go``, the worker what it has
done. This module imports the standard library alone, for Keras may run in an environment without this project's
dependencies.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

from benchmarks.turn import Missing, Turn


def main(place: str, options: str) -> None:
    """Run the module's ``main(turn, **options)`` until the parent closes the pipe; `options` is a JSON object."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the contender prints must not get between the answers
    turn = Turn(sys.stdin, answers)
    try:
        importlib.import_module(place).main(turn, **json.loads(options))
    except Missing as error:
        turn.missing(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
