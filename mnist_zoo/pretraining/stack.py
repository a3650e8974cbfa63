"""Layer by layer: each hidden layer of an MLP learns from what the layers below it make of the images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mnist_zoo.data import MNISTDataModule, load_data
from mnist_zoo.errors import DivergedError, InputError
from mnist_zoo.models import create_model
from mnist_zoo.models.registry import fit_to_images
from mnist_zoo.pretraining.layers import RBM, DenoisingAutoencoder, Layer
from mnist_zoo.weights import Description

KINDS = ("autoencoder", "dbn")
MOST_EPOCHS = 10_000
NOISE = 0.25  # share of zeroed values


@dataclass(frozen=True)
class Pretrained:
    """An MLP whose hidden layers are pretrained; its last layer is random.

    Attributes:
        network: the MLP.
        description: the network and its images, as weights files hold them.
        losses: of each layer, the mean reconstruction loss of each epoch in nats (see `Layer.step`).
        images: one validation image of each class, ``(C, channels, H, W)`` from 0 to 1.
        corrupted: what the first layer sees of them in training, the same shape.
        reconstructions: what is left of `corrupted` after the way up through all layers and down again, the same shape.
    """

    network: nn.Module
    description: Description
    losses: list[list[float]]
    images: Tensor
    corrupted: Tensor
    reconstructions: Tensor


def pretrain(
    cfg: Mapping[str, Any], kind: str, epochs: int = 10, rate: float = 0.1, noise: float | None = None
) -> Pretrained:
    """Train the hidden layers of an MLP on the training images, without labels, from the bottom to the top.

    Args:
        cfg: a composed configuration. Its data, network, batch size and seed are used.
        kind: ``autoencoder``: denoising autoencoders (Vincent et al. 2008); ``dbn``: restricted Boltzmann machines,
            together a deep belief network (Hinton et al. 2006).
        epochs: of each layer.
        rate: learning rate.
        noise: share of the values that an autoencoder does not see; None: 0.25. Not of ``dbn``.

    Raises:
        InputError: if the network is no MLP of sigmoid units, images are not scaled to 0-1, or an argument is invalid.
        DivergedError: if the reconstruction loss is not finite.
    """
    _check(cfg, kind, epochs, rate, noise)
    torch.manual_seed(cfg["seed"])
    data = load_data(cfg)
    network, description = _network(cfg, data)
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][:-1]
    visible = data.images("train").flatten(1).float() / 255
    layers: list[Layer] = []
    losses = []
    with torch.no_grad():
        for target in linear:
            sizes = target.in_features, target.out_features
            layer = RBM(*sizes) if kind == "dbn" else DenoisingAutoencoder(*sizes, NOISE if noise is None else noise)
            losses.append(_train(layer, visible, epochs, rate, cfg["batch_size"]))
            target.weight.copy_(layer.weight)
            target.bias.copy_(layer.hidden_bias)
            visible = torch.cat([layer.encode(part) for part in visible.split(1000)])
            layers.append(layer)
        images = _one_of_each_class(data)
        corrupted = layers[0].corrupt(images.flatten(1)).view_as(images)
        drawn = _up_and_down(layers, corrupted)
    return Pretrained(network, description, losses, images, corrupted, drawn)


def _check(cfg: Mapping[str, Any], kind: str, epochs: int, rate: float, noise: float | None) -> None:
    """Raise InputError for a configuration or an argument that pretraining cannot use."""
    if kind not in KINDS:
        raise InputError(f"{kind}: it must be one of {', '.join(KINDS)}")
    model = cfg["model"]
    if not model.get("hidden") or model.get("activation") != "sigmoid" or model.get("dropout"):
        raise InputError(
            f"model={model['name']}: pretraining is for an MLP with sigmoid units and without dropout: use model=mlp "
            f"model.activation=sigmoid, or experiment=autoencoder"
        )
    if cfg["data"]["normalize"]:
        raise InputError("data.normalize=true: pretraining needs pixels from 0 to 1: use data.normalize=false")
    if not 1 <= epochs <= MOST_EPOCHS:
        raise InputError(f"epochs={epochs}: it must be from 1 to {MOST_EPOCHS:,}")
    if not 0 < rate <= 10:
        raise InputError(f"rate={rate}: it must be above 0 and at most 10")
    if noise is not None and kind == "dbn":
        raise InputError(f"noise={noise}: a dbn has none, only an autoencoder: leave it out")
    if noise is not None and not 0 <= noise < 1:
        raise InputError(f"noise={noise}: it must be 0 or more and below 1")


def _network(cfg: Mapping[str, Any], data: MNISTDataModule) -> tuple[nn.Module, Description]:
    """Return the MLP of a configuration, and its description."""
    options = {key: value for key, value in cfg["model"].items() if key != "init"}
    options = fit_to_images(options["name"], options, data.image_shape)
    init = cfg["model"].get("init", "default")  # of the last layer, which is not pretrained
    network = create_model(**options, init=init, num_classes=data.num_classes, in_chans=data.image_shape[0])
    description = Description(
        model=options,
        num_classes=data.num_classes,
        in_chans=data.image_shape[0],
        image_shape=data.image_shape,
        data=data.name,
        mean=data.mean,
        std=data.std,
        class_names=data.class_names,
        filters=data.filters,
    )
    return network, description


def _train(layer: Layer, visible: Tensor, epochs: int, rate: float, batch_size: int) -> list[float]:
    """Train a layer on values ``(N, V)`` from 0 to 1, and return the mean loss of each epoch."""
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(visible)).split(batch_size):
            with torch.enable_grad():
                total += layer.step(visible[batch], rate, epoch) * len(batch)
        losses.append(total / len(visible))
        if not math.isfinite(losses[-1]):
            raise DivergedError(f"the reconstruction loss is {losses[-1]} in epoch {epoch + 1}: use a lower --rate")
    return losses


def _one_of_each_class(data: MNISTDataModule) -> Tensor:
    """Return the first validation image of each class that has one, float32 ``(C, channels, H, W)`` from 0 to 1."""
    labels = data.labels("val")
    first = [int((labels == number).nonzero()[0]) for number in labels.unique()]
    return data.images("val")[first].float() / 255


def _up_and_down(layers: Sequence[Layer], images: Tensor) -> Tensor:
    """Return the reconstructions of images by all layers."""
    values = images.flatten(1)
    for layer in layers:
        values = layer.encode(values)
    for layer in reversed(layers):
        values = layer.decode(values)
    return values.view_as(images)
