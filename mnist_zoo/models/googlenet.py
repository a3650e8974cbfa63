"""GoogLeNet for small grey images, on which the `lr_sweep` paper measured its rows named "LeNet"."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.googlenet import GoogLeNet as TorchvisionGoogLeNet
from torchvision.models.googlenet import GoogLeNetOutputs

from mnist_zoo.models.layers import check_images
from mnist_zoo.models.registry import register_model

STAGES = (
    "conv1",  # (N, 64, 14, 14) at 28x28
    "maxpool1",  # (N, 64, 7, 7)
    "conv2",
    "conv3",  # (N, 192, 7, 7)
    "maxpool2",  # (N, 192, 3, 3)
    "inception3a",
    "inception3b",  # (N, 480, 3, 3)
    "maxpool3",  # (N, 480, 1, 1)
    "inception4a",
    "inception4b",
    "inception4c",
    "inception4d",
    "inception4e",  # (N, 832, 1, 1)
    "maxpool4",
    "inception5a",
    "inception5b",  # (N, 1024, 1, 1)
    "avgpool",
)

SMALLEST = 15  # pixels a side; smaller images have no pixel left at the last pooling


@register_model("googlenet")
class GoogLeNet(TorchvisionGoogLeNet):
    """torchvision's GoogLeNet with ``in_chans`` input channels and both auxiliary heads, 9,954,366 parameters.

    Source: Figure 17 of the `lr_sweep` paper. In training, `forward` returns torchvision's named tuple
    ``(logits, aux_logits2, aux_logits1)``, each ``(N, num_classes)``; in evaluation it returns the logits.
    """

    def __init__(self, num_classes: int = 10, in_chans: int = 1):
        super().__init__(num_classes=num_classes, aux_logits=True, init_weights=True)
        self.in_chans = in_chans
        self.conv1.conv = nn.Conv2d(in_chans, 64, 7, stride=2, padding=3, bias=False)
        nn.init.trunc_normal_(self.conv1.conv.weight, std=0.01, a=-2, b=2)  # as in torchvision

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        check_images(x, self.in_chans, at_least=SMALLEST)
        return super().forward(x)

    @property
    def head(self) -> nn.Linear:
        """The last linear layer, ``fc`` in torchvision's state dict."""
        return self.fc

    def features(self, x: Tensor) -> Tensor:
        """Map images ``(N, in_chans, H, W)`` to pooled features ``(N, 1024)``, without the auxiliary heads."""
        check_images(x, self.in_chans, at_least=SMALLEST)
        for stage in STAGES:
            x = getattr(self, stage)(x)
        return self.dropout(x.flatten(1))
