"""Weight initialisation, selectable for every network (compared in the `architectures` paper's literature)."""

from __future__ import annotations

from torch import nn

from mnist_zoo.errors import unknown

SCHEMES = {
    "xavier": nn.init.xavier_uniform_,
    "keras": nn.init.xavier_uniform_,
    "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "normal": lambda weight: nn.init.normal_(weight, std=0.05),
}


def initialise(model: nn.Module, scheme: str) -> nn.Module:
    """Draw new weights for all convolutions and linear layers, set their biases to zero, and return the model.

    Schemes: ``default`` keeps the network's own initialisation; ``xavier`` is Glorot uniform,
    and so is ``keras``, whose default it is; ``he`` is Kaiming normal
    with fan-in and ReLU gain; ``normal`` has mean 0 and standard deviation 0.05.

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
