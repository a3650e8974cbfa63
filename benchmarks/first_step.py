"""A plug-in for ``plugins=[benchmarks.first_step]``: end the process at the first optimizer step of a training.

It writes the names of the modules imported so far, as JSON, to the file named by the environment variable
``FIRST_STEP``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook


def _stop(optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    Path(os.environ["FIRST_STEP"]).write_text(json.dumps(sorted(sys.modules)))
    os._exit(0)


register_optimizer_step_post_hook(_stop)
