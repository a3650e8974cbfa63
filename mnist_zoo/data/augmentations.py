"""The registry of augmentations: named functions that change the images of a training batch, or mix them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.errors import InputError
from mnist_zoo.registry import Registry

Augmentation = Callable[..., Any]
AnyAugmentation = TypeVar("AnyAugmentation", bound=Augmentation)
AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation", ("images", "targets", "generator"))

# Settings of `mnist_zoo.data.augment.Augment`. `photo` is for photographs, `thesis` the augmentation of the
# `digits_fashion` thesis. conf/augment/ has the same.
PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "affine": {"rotate": 10.0, "shift": 0.1, "zoom": 0.1},
    "photo": {
        **{"rotate": 15.0, "shift": 0.07, "zoom": 0.15, "elastic": 0.03, "stroke": 1.0, "blur": 0.8},
        **{"background": 0.2, "noise": 0.1},
    },
    "thesis": {
        "rotate": 8.0,
        "shift": 0.1,
        "zoom": 0.2,
        "flip_horizontal": True,
        "flip_vertical": True,
        "fill": "nearest",
    },
}


def register_augmentation(name: str) -> Callable[[AnyAugmentation], AnyAugmentation]:
    """Register a function ``(images, generator, **options) -> images`` under a name, for training batches.

    ``images`` are float32 ``(B, C, H, W)``, from 0 (black) to 255, on the device that trains. Draw all random numbers
    from ``generator``, a ``torch.Generator`` of the CPU, and move them to ``images.device``: it depends on the seed,
    the epoch and the batch alone, so that a resumed run continues exactly. The other parameters are options of plain
    types. The settings of `Augment` (``rotate``, ``shift``, ...) are applied before.

    A function with a parameter ``targets`` mixes labels: ``(images, targets, generator, **options) -> (images,
    targets)``, where targets are the probabilities of the classes, float32 ``(B, num_classes)``.

    On the command line: ``plugins=[my_package.my_module] augment=my_noise augment.strength=0.2``.

    Raises:
        InputError: if the name is already registered, or is that of a preset such as ``affine``.

    Example:
        >>> import torch
        >>> from mnist_zoo import MNISTDataModule, register_augmentation
        >>> @register_augmentation("my_noise")
        ... def my_noise(images, generator, strength=0.1):
        ...     noise = torch.randn(images.shape, generator=generator).to(images.device)
        ...     return (images + 255 * strength * noise).clamp(0, 255)
        >>> data = MNISTDataModule("mnist5k", augment={"name": "my_noise", "strength": 0.2, "rotate": 10})
        >>> next(iter(data.train_dataloader()))[0].shape
        torch.Size([64, 1, 28, 28])
    """
    if name in PRESETS:
        raise InputError(f"an augmentation named '{name}' is already registered; choose another name")
    return AUGMENTATIONS.register(name)


@dataclass(frozen=True)
class NamedAugmentation:
    """A registered augmentation with its options.

    Attributes:
        name: of the augmentation.
        options: its options.

    Raises:
        InputError: unknown name or option.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        AUGMENTATIONS.check_options(self.name, self.options)

    def __call__(
        self, images: Tensor, labels: Tensor, classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the changed images of a batch, and their labels.

        Args:
            images: float32 ``(B, C, H, W)``, 0 to 255.
            labels: int64 ``(B,)``.
            classes: number of classes.
            generator: of the random numbers.

        Returns:
            float32 ``(B, C, H, W)`` and int64 ``(B,)``, or float32 ``(B, classes)`` if the augmentation mixes labels.

        Raises:
            InputError: if the augmentation refuses its options, or returns something else.
        """
        function = AUGMENTATIONS[self.name]
        targets: Any = labels
        try:
            if "targets" in AUGMENTATIONS.parameters(self.name):
                soft = F.one_hot(labels, classes).float()
                changed, targets = function(images, targets=soft, generator=generator, **self.options)
            else:
                changed = function(images, generator=generator, **self.options)
        except (TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())
            raise InputError(f"augmentation '{self.name}' failed ({type(error).__name__}: {reason})") from error
        for what, given, shape in (
            ("images", changed, images.shape),
            ("targets", targets, labels.shape if targets is labels else (len(labels), classes)),
        ):
            if not isinstance(given, Tensor) or given.shape != shape:
                raise InputError(f"augmentation '{self.name}' must return {what} of shape {tuple(shape)}")
        return changed.float(), targets
