"""A first convolution with few input channels and the max-pooling after it, as products of small matrices.

The first layer of a CNN computes little and moves much memory: it makes many channels of one, at full size, and pooling
drops three quarters of them. A pooled value depends on ``(k+1) x (k+1)`` pixels: it is the largest of four products of
this patch with shifted kernels. These products are computed for a few images at a time, which stay in the cache, and no
map of full size is stored: the backward pass computes it again.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

IMAGES_AT_ONCE = 8  # for each thread; their values stay in its cache
LARGEST_PATCH = 64  # values of a patch; with more, torch's convolution is faster


class ConvMaxPool2d(nn.Conv2d):
    """A k x k convolution and 2x2 max-pooling: ``(N, C, H, W)`` to ``(N, O, (H-k+1) // 2, (W-k+1) // 2)``.

    The product of patches is used in training with float32 images on a CPU; else it convolves and pools. Both compute
    the same function up to rounding, and choose the same of several equal values. The product has no double backward.

    Args:
        convolution: for which `fits` is true; its parameters become those of this layer.
    """

    def __init__(self, convolution: nn.Conv2d):
        # The weights of the meta device are never filled, so that no random numbers are drawn.
        size = (convolution.kernel_size[0], convolution.kernel_size[1])
        super().__init__(convolution.in_channels, convolution.out_channels, size, device="meta")
        self.weight, self.bias = convolution.weight, convolution.bias
        self.train(convolution.training)

    @staticmethod
    def fits(convolution: nn.Conv2d, pooling: nn.Module) -> bool:
        """Return whether this layer computes the same as these two, and faster."""
        return (
            type(convolution) is nn.Conv2d
            and isinstance(pooling, nn.MaxPool2d)
            and convolution.in_channels * (convolution.kernel_size[0] + 1) * (convolution.kernel_size[1] + 1)
            <= LARGEST_PATCH
            and convolution.bias is not None
            and convolution.padding in ((0, 0), "valid")
            and (convolution.stride, convolution.dilation, convolution.groups) == ((1, 1), (1, 1), 1)
            and (pooling.kernel_size, pooling.stride, pooling.padding, pooling.dilation) == (2, 2, 0, 1)
            and not (pooling.ceil_mode or pooling.return_indices)
        )

    def forward(self, images: Tensor) -> Tensor:
        if self._multiplies(images):
            return _LargestOfFour.apply(images, self.weight, self.bias)
        return F.max_pool2d(super().forward(images), 2)

    def _multiplies(self, images: Tensor) -> bool:
        return (
            self.training
            and images.device.type == "cpu"
            and images.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and not images.requires_grad
            and images.ndim == 4
            and all(size > kernel for size, kernel in zip(images.shape[2:], self.kernel_size, strict=True))
        )


def apply(network: nn.Module, device: torch.device) -> bool:
    """Replace each pair that `ConvMaxPool2d.fits`, in every ``nn.Sequential``; the names of the parameters stay."""
    applied = False
    if device.type != "cpu":
        return applied
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place, (layer, pooling) in enumerate(pairwise(list(sequence))):
            if isinstance(layer, nn.Conv2d) and ConvMaxPool2d.fits(layer, pooling):
                sequence[place], sequence[place + 1] = ConvMaxPool2d(layer), nn.Identity()
                applied = True
    return applied


class _LargestOfFour(torch.autograd.Function):
    """Compute the four values of each window of the pooling, ``(4, windows, O)``, and the largest of them."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        patches, rows, columns = _patches(images, (weight.shape[2], weight.shape[3]))
        kernels = _kernels(weight, bias)
        ctx.save_for_backward(patches, kernels)
        ctx.kernel_size = (weight.shape[2], weight.shape[3])
        ctx.part = IMAGES_AT_ONCE * torch.get_num_threads() * rows * columns
        pooled = patches.new_empty(patches.shape[1], len(weight))
        values = _memory(ctx.part, pooled)
        for part, largest in zip(patches.split(ctx.part, dim=1), pooled.split(ctx.part), strict=True):
            upper, lower = _largest_of_rows(part, kernels, values[:, : len(largest)])
            torch.maximum(upper, lower, out=largest)
        return pooled.view(len(images), rows, columns, len(weight)).permute(0, 3, 1, 2)  # channels last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        patches, kernels = ctx.saved_tensors
        gradient = gradient.permute(0, 2, 3, 1).reshape(patches.shape[1], -1)
        sums = torch.zeros_like(kernels)
        values = _memory(ctx.part, gradient)
        for part, given in zip(patches.split(ctx.part, dim=1), gradient.split(ctx.part), strict=True):
            of_part = values[:, : len(given)]
            left, right, rows = of_part[:2], of_part[2:4], of_part[4:]
            upper, lower = _largest_of_rows(part, kernels, of_part)
            # The first of several equal values gets the gradient, row by row, as in torch's pooling. The masks (1 or
            # 0) overwrite the values, which are not needed any more.
            torch.ge(left, right, out=left)
            torch.ge(upper, lower, out=upper).mul_(given)
            torch.sub(given, upper, out=lower)
            left.mul_(rows)
            torch.sub(rows, left, out=right)
            sums.baddbmm_(part.expand(4, -1, -1), of_part[:4])
        return None, *_of_kernels(sums, ctx.kernel_size)


def _patches(images: Tensor, kernel_size: tuple[int, int]) -> tuple[Tensor, int, int]:
    """Return the patches ``(C * (k+1) * (k+1) + 1, windows)``, ones as last row, and the pooled height and width."""
    height, width = (side + 1 for side in kernel_size)
    seen = images.unfold(2, height, 2).unfold(3, width, 2).permute(1, 4, 5, 0, 2, 3)
    rows, columns = seen.shape[4:]
    patches = images.new_empty(seen.shape[:3].numel() + 1, seen.shape[3:].numel())
    patches[:-1].view(seen.shape).copy_(seen)
    patches[-1] = 1
    return patches, rows, columns


# Shift (down, right) of the kernel for the upper left, lower left, upper right and lower right value of a window.
_SHIFTS = ((0, 0), (1, 0), (0, 1), (1, 1))


def _kernels(weight: Tensor, bias: Tensor) -> Tensor:
    """Return the shifted kernels, the bias as last row: ``(4, C * (k+1) * (k+1) + 1, O)``."""
    shifted = [F.pad(weight, (right, 1 - right, down, 1 - down)).flatten(1) for down, right in _SHIFTS]
    return torch.stack([torch.cat([kernel, bias[:, None]], 1).t() for kernel in shifted])


def _of_kernels(sums: Tensor, kernel_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the gradients of weight and bias from those of the shifted kernels."""
    height, width = kernel_size
    maps = sums[:, :-1].transpose(1, 2).unflatten(2, (-1, height + 1, width + 1))
    parts = [maps[i, ..., down : down + height, right : right + width] for i, (down, right) in enumerate(_SHIFTS)]
    return torch.stack(parts).sum(0), sums[:, -1].sum(0)


def _memory(part: int, like: Tensor) -> Tensor:
    """Return memory for the values of a part: four of each window, and the largest of each of its two rows."""
    return like.new_empty(6, min(part, len(like)), like.shape[1])


def _largest_of_rows(patches: Tensor, kernels: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Fill in values ``(6, windows, O)`` and return the last two: the larger of the upper and of the lower row."""
    torch.bmm(patches.t().expand(4, -1, -1), kernels, out=values[:4])
    torch.maximum(values[:2], values[2:4], out=values[4:])
    return values[4], values[5]
