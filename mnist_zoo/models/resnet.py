"""ResNet-18 for small grey images."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from mnist_zoo.errors import unknown
from mnist_zoo.models.layers import check_images
from mnist_zoo.models.registry import register_model

STEMS = ("standard", "small")


@register_model("resnet18")
class ResNet18(ResNet):
    """torchvision's ResNet-18 with ``in_chans`` input channels. Loads torchvision's state dicts where shapes agree.

    Source: the `lr_sweep` paper (11,175,370 parameters for one channel and 10 classes).

    Args:
        num_classes: width of the logits.
        in_chans: channels of the images.
        stem: ``standard``: 7x7 convolution with stride 2, then pooling; a 28x28 image is 1x1 in the last stage.
            ``small``: 3x3 convolution with stride 1 and no pooling, as He et al. 2016, section 4.2, use for CIFAR; the
            last stage is 4x4, with 11,172,810 parameters and 14 times the operations.

    Raises:
        InputError: unknown stem.
    """

    def __init__(self, num_classes: int = 10, in_chans: int = 1, stem: str = "standard"):
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=num_classes)
        self.in_chans = in_chans
        if stem not in STEMS:
            raise unknown("stem", stem, STEMS)
        if stem == "small":
            self.conv1 = nn.Conv2d(in_chans, 64, 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        else:
            self.conv1 = nn.Conv2d(in_chans, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")  # as in torchvision

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_chans)
        return super().forward(x)

    @property
    def head(self) -> nn.Linear:
        """The last linear layer, ``fc`` in torchvision's state dict."""
        return self.fc

    def features(self, x: Tensor) -> Tensor:
        """Map images ``(N, in_chans, H, W)`` to pooled features ``(N, 512)``."""
        check_images(x, self.in_chans)
        x = self.relu(self.bn1(self.conv1(x)))  # (N, 64, 14, 14) for 28x28 images and the standard stem
        x = self.maxpool(x)  # (N, 64, 7, 7)
        x = self.layer1(x)  # (N, 64, 7, 7)
        x = self.layer2(x)  # (N, 128, 4, 4)
        x = self.layer3(x)  # (N, 256, 2, 2)
        x = self.layer4(x)  # (N, 512, 1, 1)
        return self.avgpool(x).flatten(1)  # (N, 512)
