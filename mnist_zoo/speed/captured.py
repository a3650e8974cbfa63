"""Forward and backward pass of the network as CUDA graphs: one launch each, instead of one for each kernel.

A step of a small network takes a GPU less time than the launches of its kernels take the processor. **This has not run
on a GPU yet**; it is applied only if asked for (``+speed.captured=true``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.speed.several_steps import SeveralSteps


def apply(classifier: LitClassifier, trainer: pl.Trainer, batch_size: int) -> bool:
    """Let the network's training passes be captured at its first whole batch; warn if that is not possible here.

    Only together with `several_steps`, so that no step keeps gradients (which the next replay overwrites) and no
    callback looks at single batches, and only in float32, because a capture holds the casts of autocast.
    """
    obstacles = {
        "a CUDA device": trainer.strategy.root_device.type == "cuda",
        "the optimisation several_steps": isinstance(classifier, SeveralSteps),
        "trainer.precision=32-true": trainer.precision == "32-true",
        "adversary=none": classifier.adversary.name == "none",
    }
    missing = [needed for needed, there in obstacles.items() if not there]
    if missing:
        warnings.warn(f"speed.captured=true has no effect here: it needs {', '.join(missing)}", stacklevel=2)
        return False
    capture_when_whole(classifier.model, batch_size, torch.cuda.make_graphed_callables)
    return True


def capture_when_whole(network: nn.Module, batch_size: int, make_graphed: Callable[..., Any]) -> None:
    """Replace ``network.forward``: training passes of `batch_size` images replay a capture, made at the first of them.

    Evaluation, the last batch of an epoch if it is smaller, and passes that need the gradient of the images go through
    the network itself. A capture runs the network a few times: its buffers and the random numbers are restored.

    Args:
        network: whose forward pass takes one tensor.
        batch_size: images of a whole batch.
        make_graphed: ``torch.cuda.make_graphed_callables``.
    """
    eager, captured = network.forward, list[Callable[[Tensor], Any]]()

    def forward(images: Tensor) -> Any:
        if not network.training or len(images) != batch_size or images.requires_grad or not torch.is_grad_enabled():
            return eager(images)
        if not captured:
            kept = {name: buffer.clone() for name, buffer in network.named_buffers()}
            with torch.random.fork_rng(devices=[images.device] if images.device.type == "cuda" else []):
                network.forward = eager  # which is what is captured, and what the result falls back to
                make_graphed(network, (images.clone(),))
            captured.append(network.forward)
            network.forward = forward
            for name, buffer in network.named_buffers():
                buffer.copy_(kept[name])
        return captured[0](images)

    network.forward = forward
