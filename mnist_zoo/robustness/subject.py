"""A network as the tests see it: it takes pixels from 0 to 1, whatever its training images were scaled to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mnist_zoo import speed
from mnist_zoo.errors import InputError
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.weights import Description, Weights, read_weights
from mnist_zoo.weights.description import summary

CPU = torch.device("cpu")


class PixelNetwork(nn.Module):
    """A network behind the normalisation of its images: pixels float32 in [0, 1] to logits."""

    def __init__(self, network: nn.Module, mean: float, std: float):
        super().__init__()
        self.network, self.mean, self.std = network, mean, std

    def forward(self, pixels: Tensor) -> Tensor:
        output = self.network((pixels - self.mean) / self.std)
        return output[0] if isinstance(output, tuple) else output


class MeanProbabilities(nn.Module):
    """An ensemble: its logits are the logarithms of the members' mean probabilities."""

    def __init__(self, members: Sequence[nn.Module]):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.stack([member(pixels).log_softmax(1) for member in self.members]).logsumexp(0)


@dataclass(frozen=True)
class Subject:
    """What is measured: one network, or an ensemble of several.

    Attributes:
        name: for messages.
        network: pixels float32 ``(N, C, H, W)`` in [0, 1] to logits ``(N, num_classes)``; in evaluation mode.
        members: the networks of an ensemble, as `network`; empty for a single network.
        description: the network and its training images, if they are known.
        digest: of the file with the weights; empty if they come from no file.
        device: where the network is.
    """

    name: str
    network: nn.Module
    members: tuple[nn.Module, ...] = ()
    description: Description | None = None
    digest: str = ""
    device: torch.device = CPU

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits of pixels, without gradients. Raises InputError as `finite`."""
        return self.finite(self._output(pixels))

    def finite(self, logits: Tensor) -> Tensor:
        """Return logits; raise InputError if one is NaN, whose image would count as one of class 0, or infinite."""
        if not logits.isfinite().all():
            raise InputError(f"{self.name}: the output of the network is NaN or infinite")
        return logits

    def _output(self, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.network(pixels)

    def check(self, images: Tensor) -> int:
        """Return the number of logits for images, uint8 ``(N, C, H, W)``.

        Raises:
            InputError: if the network does not take images of this size, or its output are no finite logits.
        """
        size = "x".join(map(str, images.shape[1:]))
        try:
            logits = self._output(images[:2].to(self.device).float() / 255)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{self.name} does not take images of size {size} ({summary(error)})") from error
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images[:2]):
            raise InputError(f"{self.name}: the output of the network for images of size {size} is not one of logits")
        return self.finite(logits).shape[1]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Within a block, a network is in evaluation mode and its parameters take no gradients; then it is as before."""
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, grad in wanted:
            parameter.requires_grad_(grad)


def read_subject(source: str | Path, device: torch.device) -> tuple[Subject, Weights]:
    """Return the network in a run folder, checkpoint, safetensors file or under a shipped name, and its weights.

    Raises:
        InputError: as `read_weights` and `build_trained`, or if the file does not say how images are normalised.
    """
    weights = read_weights(source)
    known = weights.description
    if known.mean is None or known.std is None:
        raise InputError(f"{weights.path} does not say how its training images were normalised (no MNISTDataModule)")
    network = build_trained(weights).requires_grad_(False).to(device)
    speed.apply_to_network(network, device)
    digest = hashlib.sha256(weights.path.read_bytes()).hexdigest()
    name = Path(source).name or str(source)
    pixel_network = PixelNetwork(network, known.mean, known.std).eval()
    return Subject(name, pixel_network, (), known, digest, device), weights


def ensemble(subjects: Sequence[Subject]) -> Subject:
    """Return the ensemble of several networks.

    Raises:
        InputError: if they have different classes or image sizes.
    """
    first = subjects[0]
    for other in subjects:
        mine, its = first.description, other.description
        if mine and its and (mine.class_names, mine.image_shape) != (its.class_names, its.image_shape):
            raise InputError(f"{first.name} and {other.name} have other classes or image sizes: they form no ensemble")
    members = tuple(subject.network for subject in subjects)
    digest = hashlib.sha256("\n".join(subject.digest for subject in subjects).encode()).hexdigest()
    name = f"ensemble of {len(subjects)}"
    return Subject(name, MeanProbabilities(members).eval(), members, first.description, digest, first.device)
