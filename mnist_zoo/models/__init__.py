"""The zoo: plain torch.nn networks behind one registry.

Every network takes float32 images ``(N, in_chans, H, W)`` (28x28 unless built otherwise) and returns logits
``(N, num_classes)``; ``model.features(x)`` returns what enters its last linear layer, ``(N, D)``, and ``model.head``
is that layer (with batch norm behind it in the ``simple_*`` family). Nothing here knows Lightning or Hydra.
"""

from mnist_zoo.models import (  # noqa: F401  (importing a family registers it)
    cnn,
    densenet,
    googlenet,
    lenet,
    mlp,
    resnet,
    simple,
)
from mnist_zoo.models.factory import create_model
from mnist_zoo.models.registry import list_models, register_model

__all__ = ["create_model", "list_models", "register_model"]
