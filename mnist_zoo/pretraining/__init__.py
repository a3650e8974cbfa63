"""Pretraining without labels: the hidden layers of an MLP learn one after the other, as autoencoders or RBMs."""

from mnist_zoo.pretraining.layers import RBM, DenoisingAutoencoder
from mnist_zoo.pretraining.stack import KINDS, Pretrained, pretrain

__all__ = ["KINDS", "RBM", "DenoisingAutoencoder", "Pretrained", "pretrain"]
