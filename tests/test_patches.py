"""The first stage as products of patches: what convolving and pooling give, and only where that may be."""

import pytest
import torch
from torch import nn

from mnist_zoo import LitClassifier, create_model
from mnist_zoo.speed.patches import ConvMaxPool2d, join_pooling


def whole_numbers(*shape: int, largest: int = 2) -> torch.Tensor:
    """Small integers as floats: sums of their products are exact, and many are equal."""
    return torch.randint(-largest, largest + 1, shape).float()


def pair(channels: int, kernel_size: int | tuple[int, int]) -> tuple[nn.Conv2d, ConvMaxPool2d]:
    """The same weights, whole numbers, in a plain convolution and in one that pools."""
    plain, joined = nn.Conv2d(channels, 5, kernel_size), nn.Conv2d(channels, 5, kernel_size)
    with torch.no_grad():
        for parameter, twin in zip(plain.parameters(), joined.parameters(), strict=True):
            twin.copy_(parameter.copy_(whole_numbers(*parameter.shape, largest=1)))
    return plain, ConvMaxPool2d(joined)


def gradients(module: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad for parameter in module.parameters()]


@pytest.mark.parametrize(
    ("channels", "kernel_size", "height", "width"),
    [(1, 3, 28, 28), (1, 3, 27, 12), (1, 5, 28, 28), (1, 2, 9, 9), (1, (3, 5), 14, 15), (3, 3, 8, 8), (1, 3, 4, 4)],
)
@pytest.mark.parametrize("count", [1, 21])  # 21: more than are computed at once, and not a multiple
def test_values_and_gradients_are_those_of_pooling_ties_included(channels, kernel_size, height, width, count):
    torch.manual_seed(0)
    plain, joined = pair(channels, kernel_size)
    images = whole_numbers(count, channels, height, width)
    images[..., : height // 2, :] = 1  # a background: whole windows of equal values
    expected, found = nn.functional.max_pool2d(plain(images), 2), joined(images)
    assert torch.equal(found, expected)
    upstream = whole_numbers(*expected.shape)
    expected.backward(upstream)
    found.backward(upstream)
    assert all(map(torch.equal, gradients(joined), gradients(plain)))


def test_it_keeps_no_activations_of_full_size():
    images, joined = torch.rand(16, 1, 28, 28), ConvMaxPool2d(nn.Conv2d(1, 32, 3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        joined(images)
    assert 0 < sum(tensor.numel() for tensor in kept) < 16 * 32 * 26 * 26 / 4


@pytest.mark.parametrize("case", ["evaluation", "float64", "bfloat16", "gradient of images", "one image"])
def test_elsewhere_it_convolves_and_pools(case):
    torch.manual_seed(0)
    plain, joined = pair(1, 3)
    images = whole_numbers(4, 1, 10, 10)
    if case == "evaluation":
        joined.eval()
    if case == "float64":
        plain, joined, images = plain.double(), joined.double(), images.double()
    if case == "gradient of images":
        images.requires_grad_()
    if case == "one image":
        images = images[0]
    with torch.autocast("cpu", torch.bfloat16, enabled=case == "bfloat16"):
        expected, found = nn.functional.max_pool2d(plain(images), 2), joined(images)
    assert found.dtype == expected.dtype and torch.equal(found, expected)
    if case == "gradient of images":
        found.sum().backward()
        assert images.grad.any()


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, padding="same"), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, stride=2), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, dilation=2), nn.MaxPool2d(2)),
        (nn.Conv2d(2, 4, 3, groups=2), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, bias=False), nn.MaxPool2d(2)),
        (nn.Conv2d(32, 4, 3), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(3)),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, stride=1)),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, ceil_mode=True)),
        (nn.Conv2d(1, 4, 3), nn.AvgPool2d(2)),
        (nn.Conv2d(1, 4, 3), nn.ReLU()),
        (nn.Linear(4, 4), nn.MaxPool2d(2)),
    ],
)
def test_layers_that_it_cannot_stand_for_do_not_fit(layers):
    assert not ConvMaxPool2d.fits(*layers)


def test_a_layer_that_stands_twice_separates_others_twice():
    activation = nn.GELU()
    network = nn.Sequential(activation, nn.Conv2d(1, 4, 3), activation, nn.MaxPool2d(2))
    join_pooling(network)
    assert [type(layer).__name__ for layer in network] == ["GELU", "Conv2d", "GELU", "MaxPool2d"]


def test_a_classifier_joins_them_and_keeps_names_weights_and_penalty():
    torch.manual_seed(0)
    plain = create_model("cnn_l2")
    torch.manual_seed(0)
    joined = LitClassifier("cnn_l2").model
    assert [type(layer).__name__ for layer in joined.features][:3] == ["ConvMaxPool2d", "Identity", "ReLU"]
    theirs, ours = plain.state_dict(), joined.state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert joined.penalty().item() == pytest.approx(plain.penalty().item(), rel=1e-6)
    images = torch.rand(9, 1, 28, 28)
    assert torch.allclose(joined.train()(images), plain.eval()(images), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, 26),  # 5 of 11, 2 x 5 + 2 = 12 of 13, 2 x 12 + 2 = 26 of 28
        ({"kernel_size": 5}, 28),  # 4 of 8, 12 of 12
        ({"channels": [8, [8, 8]]}, 26),  # 4 of 9, 12 of 13
        ({"channels": [8, 8, 8]}, 22),
        ({"image_size": 31}, 30),
        ({"activation": "gelu"}, 26),
        ({"padding": "same"}, 28),
        ({"padding": "same", "ceil_mode": True}, 28),
        ({"ceil_mode": True}, 28),
        ({"downsampling": "stride"}, 28),
        ({"batch_norm": True}, 28),
    ],
)
def test_training_leaves_out_what_the_output_does_not_depend_on(options, seen):
    network = create_model("cnn", **options)
    side = options.get("image_size", 28)
    images = torch.rand(3, 1, side, side, requires_grad=True)
    evaluated = network.eval()(images)
    assert network.features.seen == seen
    evaluated.square().sum().backward()
    assert not images.grad[..., seen:, :].any() and not images.grad[..., seen:].any()
    if "batch_norm" not in options:
        assert torch.allclose(network.train()(images), evaluated, atol=1e-6)
