"""The data path: where images come from, how they are split, and ready batches of them."""

from mnist_zoo.data import (  # noqa: F401  (importing a source or an augmentation registers it)
    cifar10,
    csv_files,
    double_mnist,
    image_folders,
    mixing,
    mnist5k,
    npz_files,
    svhn,
    torchvision_sets,
    trivial,
)
from mnist_zoo.data.augment import Augment
from mnist_zoo.data.augmentations import register_augmentation
from mnist_zoo.data.batches import Batches
from mnist_zoo.data.configured import load_data
from mnist_zoo.data.datamodule import MNISTDataModule
from mnist_zoo.data.offline import no_downloads
from mnist_zoo.data.sources import ImageSet, list_datasets, register_dataset

__all__ = [
    "Augment",
    "Batches",
    "ImageSet",
    "MNISTDataModule",
    "list_datasets",
    "load_data",
    "no_downloads",
    "register_augmentation",
    "register_dataset",
]
