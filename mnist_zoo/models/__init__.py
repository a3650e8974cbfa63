"""The zoo: plain torch.nn networks behind one registry.

Every network takes float32 images ``(N, in_chans, H, W)`` (28x28 unless built otherwise) and returns logits
``(N, num_classes)``; ``model.features(x)`` returns what enters its last linear layer, ``(N, D)``, and ``model.head``
is that layer (with batch norm behind it in the ``simple_*`` family; in `capsnet` it has no weights). A network may
define ``penalty()``, a scalar that is added to the loss, or ``training_loss(images, targets, loss)``, which returns its
own loss and the logits. Nothing here knows Lightning or Hydra.
"""

from mnist_zoo.models import (  # noqa: F401  (importing a family registers it)
    capsnet,
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
