"""DenseNets for small grey images (Huang et al. 2017), cited by the `digits_fashion` paper."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.densenet import DenseNet as TorchvisionDenseNet

from mnist_zoo.errors import InputError
from mnist_zoo.models.layers import check_images
from mnist_zoo.models.registry import register_model

SMALLEST = 32  # pixels a side that five halvings need, as densenet121 has them
LAYERS_BESIDE_BLOCKS = 4  # of DenseNet-BC: the first convolution, two transitions and the linear layer
BLOCKS = 3


class PaddedFeatures(nn.Sequential):
    """torchvision's layers between two steps that it does in ``forward``: ReLU, pooling and flattening at the end.

    Images of fewer than 32 pixels a side are padded with zeros on all sides first.
    """

    def __init__(self, layers: nn.Sequential, in_chans: int):
        super().__init__(OrderedDict(layers.named_children()))  # the names in torchvision's state dict
        self.in_chans = in_chans

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_chans)
        rows, columns = (max(SMALLEST - side, 0) for side in x.shape[2:])
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))  # (N, 1, 32, 32) at 28x28
        # conv0: (N, 64, 16, 16); pool0: (N, 64, 8, 8); denseblock1: (N, 256, 8, 8); transition1: (N, 128, 4, 4);
        # denseblock2: (N, 512, 4, 4); transition2: (N, 256, 2, 2); denseblock3: (N, 1024, 2, 2);
        # transition3: (N, 512, 1, 1); denseblock4 and norm5: (N, 1024, 1, 1)
        return F.adaptive_avg_pool2d(super().forward(x).relu(), 1).flatten(1)  # (N, 1024)


@register_model("densenet121")
class DenseNet121(TorchvisionDenseNet):
    """torchvision's DenseNet-121 with ``in_chans`` input channels, 6,957,834 parameters for one channel and 10 classes.

    Source: Huang et al. 2017, Table 1 (growth rate 32, blocks of 6, 12, 24 and 16 layers). For three channels and 1,000
    classes it has torchvision's 7,978,856 parameters and loads torchvision's state dicts. It halves images five times,
    so it pads 28x28 images with zeros to 32x32.
    """

    features: PaddedFeatures

    def __init__(self, num_classes: int = 10, in_chans: int = 1):
        super().__init__(growth_rate=32, block_config=(6, 12, 24, 16), num_init_features=64, num_classes=num_classes)
        self.features.conv0 = nn.Conv2d(in_chans, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.features.conv0.weight)  # as in torchvision
        self.features = PaddedFeatures(self.features, in_chans)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))

    @property
    def head(self) -> nn.Linear:
        """The last linear layer, ``classifier`` in torchvision's state dict."""
        return self.classifier


class DenseLayer(nn.Sequential):
    """A bottleneck layer whose ``growth_rate`` new maps follow its input: ``(N, C, H, W)`` to ``(N, C + k, H, W)``."""

    def __init__(self, width: int, growth_rate: int):
        inner = 4 * growth_rate  # section 3, "bottleneck layers"
        super().__init__(
            *(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, inner, 1, bias=False)),
            *(nn.BatchNorm2d(inner), nn.ReLU(), nn.Conv2d(inner, growth_rate, 3, padding=1, bias=False)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, super().forward(x)], dim=1)


@register_model("densenet_bc")
class DenseNetBC(nn.Module):
    """The DenseNet-BC that the paper trains on CIFAR, for small images: three blocks, with pooling between them.

    Source: Huang et al. 2017, sections 3 and 4.2, with its initialisation (He normal) and without dropout. With
    ``depth=100``, ``growth_rate=12`` and three channels it has 769,162 parameters, 0.8 M in Table 2. The default, depth
    22, is ours, for two CPU cores.

    Args:
        num_classes: width of the logits.
        in_chans: channels of the images.
        depth: number of layers with weights: 4 more than a multiple of 6.
        growth_rate: maps that each dense layer adds.

    Raises:
        InputError: if `depth` does not divide into three blocks of bottleneck layers.
    """

    def __init__(self, num_classes: int = 10, in_chans: int = 1, depth: int = 22, growth_rate: int = 12):
        super().__init__()
        each, rest = divmod(depth - LAYERS_BESIDE_BLOCKS, 2 * BLOCKS)
        if rest or each < 1:
            raise InputError(f"depth={depth}: it must be 4 more than a multiple of 6, such as 22, 40 or 100")
        self.in_chans = in_chans
        width = 2 * growth_rate
        layers: list[nn.Module] = [nn.Conv2d(in_chans, width, 3, padding=1, bias=False)]  # (N, 24, 28, 28)
        for block in range(BLOCKS):
            if block:
                half = width // 2  # the compression of section 3
                layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, half, 1, bias=False), nn.AvgPool2d(2)]
                width = half  # (N, 30, 14, 14), then (N, 33, 7, 7)
            for _ in range(each):
                layers.append(DenseLayer(width, growth_rate))
                width += growth_rate
            # (N, 60, 28, 28), (N, 66, 14, 14), (N, 69, 7, 7) after the blocks
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(width, num_classes)  # (N, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Map images ``(N, in_chans, H, W)`` of at least 4x4 pixels to pooled features ``(N, 69)``."""
        check_images(x, self.in_chans, at_least=2 ** (BLOCKS - 1))
        return self.layers(x)
