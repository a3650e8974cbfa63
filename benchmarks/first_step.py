"""A plug-in for ``plugins=[benchmarks.first_step]``: end the process at the first optimizer step of a training.

The modules imported by then are written, as JSON, to the file that the environment variable ``FIRST_STEP`` names.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from torch.optim.optimizer import register_optimizer_step_post_hook


def _stop(*arguments) -> None:
    Path(os.environ["FIRST_STEP"]).write_text(json.dumps(sorted(sys.modules)))
    os._exit(0)


register_optimizer_step_post_hook(_stop)
