"""CapsNet: capsules with dynamic routing (Sabour et al. 2017), cited by the `digits_fashion` paper."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnist_zoo.errors import InputError
from mnist_zoo.models.layers import ImageSize, check_images, height_and_width
from mnist_zoo.models.registry import register_model

KERNEL = 9
MAPS = 256  # of both convolutions; those of the second one are 32 capsules of 8 values at each place
PRIMARY, CLASS = 8, 16  # values of a capsule
DECODER = (512, 1024)
SMALLEST = 2 * KERNEL - 1  # pixels a side that leave one place after both convolutions
TINY = 1e-12  # keeps the gradient of a capsule's length finite at 0


def squash(capsules: Tensor) -> Tensor:
    """Return vectors ``(..., D)`` of the same direction whose length n becomes ``n^2 / (1 + n^2)`` (equation 1)."""
    squares = capsules.square().sum(-1, keepdim=True)
    return capsules * (squares / (1 + squares) / (squares + TINY).sqrt())


class Routing(nn.Module):
    """Class capsules from primary capsules, by dynamic routing (Procedure 1): ``(N, P, 8)`` to ``(N, C, 16)``.

    Gradients flow through all iterations.

    Args:
        capsules: number P of primary capsules.
        num_classes: number C of class capsules.
        iterations: of routing, 1 or more; 1 gives every class the same share of each primary capsule.
    """

    def __init__(self, capsules: int, num_classes: int, iterations: int):
        super().__init__()
        self.num_classes, self.iterations = num_classes, iterations
        self.weight = nn.Parameter(torch.empty(capsules, PRIMARY, num_classes * CLASS))
        nn.init.normal_(self.weight, std=0.1)  # not stated in the paper

    def forward(self, capsules: Tensor) -> Tensor:
        votes = torch.bmm(capsules.transpose(0, 1), self.weight)  # (P, N, C * 16)
        votes = votes.unflatten(2, (self.num_classes, CLASS)).permute(1, 2, 0, 3).contiguous()  # (N, C, P, 16)
        agreement = votes.new_zeros(votes.shape[:3])  # b in the paper, (N, C, P)
        outputs = _outputs(votes, agreement)
        for _ in range(self.iterations - 1):
            agreement = agreement + (votes @ outputs.unsqueeze(3)).squeeze(3)
            outputs = _outputs(votes, agreement)
        return outputs


def _outputs(votes: Tensor, agreement: Tensor) -> Tensor:
    """Return the class capsules ``(N, C, 16)`` when each primary capsule's votes have shares by their agreement."""
    shares = agreement.softmax(1)  # over the classes
    return squash((shares.unsqueeze(2) @ votes).squeeze(2))


class LogOdds(nn.Module):
    """Class capsules ``(N, C * 16)`` to logits ``(N, C)``: the log-odds of their lengths, which lie in [0, 1)."""

    def forward(self, capsules: Tensor) -> Tensor:
        squares = capsules.unflatten(1, (-1, CLASS)).square().sum(2)
        return torch.logit((squares + TINY).sqrt(), eps=1e-6)


@register_model("capsnet")
class CapsNet(nn.Module):
    """Two 9x9 convolutions, dynamic routing to a capsule for each class, and a decoder that draws the image again.

    Source: Sabour et al. 2017, section 4: 8,215,568 parameters (8.2 M in the paper), 6,804,224 without the decoder
    (6.8 M).

    The paper's class probability is the length of a capsule. The logits are its log-odds: ``logits.sigmoid()`` are the
    lengths, and the loss ``margin`` is the paper's. (By equation 1, a logit is the logarithm of the squared length
    before squashing, so that ``softmax(logits)`` are the shares of these squares.) `training_loss` adds the
    reconstruction error.

    Differences: the decoder's last layer has no sigmoid, because it draws the network's input, which is in [0, 1] only
    with ``data.normalize=false``.

    Args:
        num_classes: width of the logits.
        in_chans: channels of the images.
        image_size: side of the square images, or ``[height, width]``, pixels; at least 17 each.
        routing: iterations of dynamic routing.
        reconstruction: factor of an image's sum of squared reconstruction errors in the training loss; with 0 there is
            no decoder.

    Raises:
        InputError: if the images are too small for the convolutions.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: ImageSize = 28,
        routing: int = 3,
        reconstruction: float = 0.0005,
    ):
        super().__init__()
        sides = height_and_width(image_size)
        if min(sides) < SMALLEST:
            raise InputError(f"image_size={image_size}: capsnet takes images of {SMALLEST}x{SMALLEST} or more")
        self.num_classes, self.in_chans, self.image_size = num_classes, in_chans, sides
        self.reconstruction = reconstruction
        height, width = ((side - 2 * (KERNEL - 1) + 1) // 2 for side in sides)
        self.conv = nn.Conv2d(in_chans, MAPS, KERNEL)  # (N, 256, 20, 20)
        self.primary = nn.Conv2d(MAPS, MAPS, KERNEL, stride=2)  # (N, 256, 6, 6)
        self.routing = Routing(MAPS // PRIMARY * height * width, num_classes, routing)  # (N, 10, 16)
        self.head = LogOdds()  # (N, 10)
        self.decoder: nn.Sequential | None = None
        if reconstruction:
            first, second = DECODER
            self.decoder = nn.Sequential(
                *(nn.Linear(num_classes * CLASS, first), nn.ReLU()),
                *(nn.Linear(first, second), nn.ReLU()),
                nn.Linear(second, in_chans * sides[0] * sides[1]),
            )  # (N, 784)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Map images ``(N, in_chans, H, W)`` to class capsules ``(N, num_classes * 16)``."""
        check_images(x, self.in_chans, self.image_size)
        x = self.primary(self.conv(x).relu())  # (N, 256, 6, 6)
        capsules = x.unflatten(1, (-1, PRIMARY)).permute(0, 1, 3, 4, 2).flatten(1, 3)  # (N, 1152, 8)
        return self.routing(squash(capsules)).flatten(1)

    def reconstruct(self, capsules: Tensor, classes: Tensor) -> Tensor:
        """Return the images that the decoder draws from the capsule of one class, ``(N, in_chans, H, W)``.

        Args:
            capsules: output of `features`, ``(N, num_classes * 16)``.
            classes: int64 ``(N,)``, or the share of each class, float ``(N, num_classes)``.

        Raises:
            InputError: if the network has no decoder.
        """
        if self.decoder is None:
            raise InputError("this capsnet has no decoder: train it with model.reconstruction above 0")
        shares = classes if classes.is_floating_point() else F.one_hot(classes, self.num_classes)
        masked = capsules.unflatten(1, (-1, CLASS)) * shares.unsqueeze(2).to(capsules.dtype)
        return self.decoder(masked.flatten(1)).view(-1, self.in_chans, *self.image_size)

    def training_loss(
        self, images: Tensor, targets: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch with the reconstruction error of the true class (section 4.1), and the logits.

        Args:
            images: float ``(N, in_chans, H, W)``.
            targets: int64 ``(N,)``, or probabilities ``(N, num_classes)``.
            loss: of logits and targets, a scalar.
        """
        capsules = self.features(images)
        logits = self.head(capsules)
        total = loss(logits, targets)
        if self.decoder is not None:
            errors = (self.reconstruct(capsules, targets) - images).square().flatten(1).sum(1)
            total = total + self.reconstruction * errors.mean()
        return total, logits
