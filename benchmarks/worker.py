"""A contender's process, started by `benchmarks.rounds`, never by hand. It works when its parent tells it to.

Parent and worker exchange lines: the worker says that it is ready, the parent says ``go``, the worker answers with its
result as JSON. This module imports the standard library only, because Keras may run in an environment without the
dependencies of this project.
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
    os.dup2(2, 1)  # the contender's own prints must not mix with the answers
    turn = Turn(sys.stdin, answers)
    try:
        importlib.import_module(place).main(turn, **json.loads(options))
    except Missing as error:
        turn.missing(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
