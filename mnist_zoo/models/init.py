"""Weight initialisation, selectable for every network (compared in the `architectures` paper's literature)."""

from __future__ import annotations

from torch import nn

from mnist_zoo.errors import unknown

SCHEMES = {
    "xavier": nn.init.xavier_uniform_,
    "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "normal": lambda weight: nn.init.normal_(weight, std=0.05),
}


def initialise(model: nn.Module, scheme: str) -> nn.Module:
    """Draw the weights of all convolutions and linear layers anew, and set their biases to zero; return the model.

    Schemes: ``default`` leaves the network's own initialisation alone; ``xavier`` is Glorot's uniform; ``he`` is
    Kaiming's normal with fan-in and ReLU gain; ``normal`` has mean 0 and standard deviation 0.05.

    Raises:
        InputError: if the scheme is unknown.
    """
    if scheme == "default":
        return model
    if scheme not in SCHEMES:
        raise unknown("initialisation", scheme, ["default", *SCHEMES])
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            SCHEMES[scheme](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model
