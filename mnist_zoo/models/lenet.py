"""LeNet-5 in its modern textbook form."""

from __future__ import annotations

from torch import Tensor, nn

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.models.layers import Features, ImageSize, height_and_width, make_activation, size_words
from mnist_zoo.models.registry import register_model

POOLINGS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}


@register_model("lenet5")
class LeNet5(nn.Module):
    """Two 5x5 convolutions and three linear layers, 61,706 parameters.

    Source: the text of the `lr_sweep` paper. (The rows "LeNet" of its tables were measured on GoogLeNet.) Differences
    from LeCun et al. 1998: each convolution is connected to all input channels, pooling has no weights, and the output
    layer is linear.

    Args:
        num_classes: width of the logits.
        in_chans: channels of the images.
        image_size: side of the square images, or ``[height, width]``, pixels, 12 or more each.
        activation: a name in `mnist_zoo.models.layers.ACTIVATIONS`.
        pooling: ``avg`` or ``max``.

    Raises:
        InputError: unknown names, or images that are too small.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: ImageSize = 28,
        activation: str = "sigmoid",
        pooling: str = "avg",
    ):
        super().__init__()
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
        height, width = ((side // 2 - 4) // 2 for side in height_and_width(image_size))
        if min(height, width) < 1:
            raise InputError(
                f"a {size_words(image_size)} image has no pixels left in LeNet-5: use image_size=12 or more"
            )
        layers = (
            nn.Conv2d(in_chans, 6, 5, padding=2),  # (N, 6, 28, 28)
            make_activation(activation),
            POOLINGS[pooling](2),  # (N, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (N, 16, 10, 10)
            make_activation(activation),
            POOLINGS[pooling](2),  # (N, 16, 5, 5)
            nn.Flatten(),  # (N, 400)
            nn.Linear(16 * height * width, 120),  # (N, 120)
            make_activation(activation),
            nn.Linear(120, 84),  # (N, 84)
            make_activation(activation),
        )
        self.features = Features(layers, in_chans, image_size)
        self.head = nn.Linear(84, num_classes)  # (N, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
