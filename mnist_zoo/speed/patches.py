"""The first convolution and the max-pooling after it as products of small matrices, which a CPU trains faster."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

IMAGES_AT_ONCE = 8  # for each thread: what is computed of them stays in its cache
PATCH = 64  # values at most in what a pooled value sees: with more, a plain convolution has enough to do


class ConvMaxPool2d(nn.Conv2d):
    """A convolution, k by k, and 2x2 max-pooling in one: ``(N, C, H, W)`` to ``(N, O, (H-k+1) // 2, (W-k+1) // 2)``.

    The first layer of a CNN computes little and moves much: it makes many channels of one, at full size, and pooling
    drops three quarters of them. A pooled value sees ``(k+1) x (k+1)`` pixels: it is the largest of the products of
    that patch with four shifted kernels. While it trains in float32 on a CPU this layer multiplies so, a few images at
    a time, and keeps no map of full size: the backward pass computes it again. Elsewhere it convolves and pools. Both
    are one function but for rounding, ties included; the former's gradients have no gradients.

    Args:
        convolution: whose parameters become this layer's: `fits` must be true of it.
    """

    def __init__(self, convolution: nn.Conv2d):
        # On no device, it draws no random numbers for weights that it does not keep.
        super().__init__(convolution.in_channels, convolution.out_channels, convolution.kernel_size, device="meta")
        self.weight, self.bias = convolution.weight, convolution.bias
        self.train(convolution.training)

    @staticmethod
    def fits(convolution: nn.Module, pooling: nn.Module) -> bool:
        """Return whether this layer can stand for these two, and pays."""
        return (
            type(convolution) is nn.Conv2d
            and type(pooling) is nn.MaxPool2d
            and convolution.in_channels * (convolution.kernel_size[0] + 1) * (convolution.kernel_size[1] + 1) <= PATCH
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


def join_pooling(network: nn.Module) -> None:
    """Put a `ConvMaxPool2d` wherever a network's ``nn.Sequential`` has what fits it; names of parameters stay."""
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place, (layer, pooling) in enumerate(pairwise(list(sequence))):
            if ConvMaxPool2d.fits(layer, pooling):
                sequence[place], sequence[place + 1] = ConvMaxPool2d(layer), nn.Identity()


class _LargestOfFour(torch.autograd.Function):
    """The four values of each pooled window, side by side ``(4, windows, O)``, and the largest of them."""

    @staticmethod
    def forward(ctx, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        patches, rows, columns = _patches(images, weight.shape[2:])
        kernels = _kernels(weight, bias)
        ctx.save_for_backward(patches, kernels)
        ctx.kernel_size = weight.shape[2:]
        ctx.part = IMAGES_AT_ONCE * torch.get_num_threads() * rows * columns
        pooled = patches.new_empty(patches.shape[1], len(weight))
        values = _room(ctx.part, pooled)
        for part, largest in zip(patches.split(ctx.part, dim=1), pooled.split(ctx.part), strict=True):
            upper, lower = _largest_of_rows(part, kernels, values[:, : len(largest)])
            torch.maximum(upper, lower, out=largest)
        return pooled.view(len(images), rows, columns, len(weight)).permute(0, 3, 1, 2)  # channels last

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        patches, kernels = ctx.saved_tensors
        gradient = gradient.permute(0, 2, 3, 1).reshape(patches.shape[1], -1)
        sums = torch.zeros_like(kernels)
        values = _room(ctx.part, gradient)
        for part, given in zip(patches.split(ctx.part, dim=1), gradient.split(ctx.part), strict=True):
            of_part = values[:, : len(given)]
            left, right, rows = of_part[:2], of_part[2:4], of_part[4:]
            upper, lower = _largest_of_rows(part, kernels, of_part)
            # Of equal values the first gets the gradient, row by row, as in torch's pooling. What is 1 or 0 here takes
            # the place of the values, which are needed no more.
            torch.ge(left, right, out=left)
            torch.ge(upper, lower, out=upper).mul_(given)
            torch.sub(given, upper, out=lower)
            left.mul_(rows)
            torch.sub(rows, left, out=right)
            sums.baddbmm_(part.expand(4, -1, -1), of_part[:4])
        return None, *_of_kernels(sums, ctx.kernel_size)


def _patches(images: Tensor, kernel_size: tuple[int, int]) -> tuple[Tensor, int, int]:
    """Return what each window sees ``(C * (k+1) * (k+1) + 1, windows)``, the last row ones, and windows of an image."""
    height, width = (side + 1 for side in kernel_size)
    seen = images.unfold(2, height, 2).unfold(3, width, 2).permute(1, 4, 5, 0, 2, 3)
    rows, columns = seen.shape[4:]
    patches = images.new_empty(seen.shape[:3].numel() + 1, seen.shape[3:].numel())
    patches[:-1].view(seen.shape).copy_(seen)
    patches[-1] = 1
    return patches, rows, columns


# The window's upper left, lower left, upper right and lower right value, as (down, right).
_SHIFTS = ((0, 0), (1, 0), (0, 1), (1, 1))


def _kernels(weight: Tensor, bias: Tensor) -> Tensor:
    """Return the shifted kernels, with the bias ``(4, C * (k+1) * (k+1) + 1, O)``."""
    shifted = [F.pad(weight, (right, 1 - right, down, 1 - down)).flatten(1) for down, right in _SHIFTS]
    return torch.stack([torch.cat([kernel, bias[:, None]], 1).t() for kernel in shifted])


def _of_kernels(sums: Tensor, kernel_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return gradients of weight and bias from those of `_kernels`."""
    height, width = kernel_size
    maps = sums[:, :-1].transpose(1, 2).unflatten(2, (-1, height + 1, width + 1))
    parts = [maps[i, ..., down : down + height, right : right + width] for i, (down, right) in enumerate(_SHIFTS)]
    return sum(parts), sums[:, -1].sum(0)


def _room(part: int, like: Tensor) -> Tensor:
    """Return room for a part's values: four a window, and the largest of each of its two rows."""
    return like.new_empty(6, min(part, len(like)), like.shape[1])


def _largest_of_rows(patches: Tensor, kernels: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Fill in values ``(6, windows, O)``, and return the last two."""
    torch.bmm(patches.t().expand(4, -1, -1), kernels, out=values[:4])
    torch.maximum(values[:2], values[2:4], out=values[4:])
    return values[4], values[5]
