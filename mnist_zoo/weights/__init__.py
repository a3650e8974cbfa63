"""Trained weights as data: the files shipped in this folder, and reading run folders, checkpoints and safetensors.

Reading never executes code: checkpoints are loaded with ``weights_only=True``. It notices damage: the checksums in a
checkpoint are compared, and a digest in safetensors files. `mnist_zoo.models.create_model` and
`mnist_zoo.models.pretrained` build networks from these weights. ``python -m results.ship RUN...`` makes the shipped
files.
"""

from mnist_zoo.weights.archive import check_archive, read_archive
from mnist_zoo.weights.description import Description, Weights
from mnist_zoo.weights.files import pack, read_weights, unpack
from mnist_zoo.weights.shipped import FOLDER, find_pretrained, list_pretrained, read_card, read_shipped_card

__all__ = [
    "FOLDER",
    "Description",
    "Weights",
    "check_archive",
    "find_pretrained",
    "list_pretrained",
    "pack",
    "read_archive",
    "read_card",
    "read_shipped_card",
    "read_weights",
    "unpack",
]
