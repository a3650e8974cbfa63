"""What a group of settings is, and the bounds that several of them share."""

from __future__ import annotations

from dataclasses import dataclass, field

from mnist_zoo.settings.checks import Check

MONITORS = ("val_acc", "val_loss", "train_acc", "train_loss")
# Bounds of counts: far above what is useful, and low enough that a slip of the finger is not a run without end or a
# process that the system kills for its memory.
MOST_EPOCHS = MOST_IMAGES = 1_000_000
MOST_FOLDS = 1000
MOST_STEPS, MOST_DEVICES, LARGEST_SEED = 1_000_000_000, 1024, 2**32 - 1
MOST_CHANNELS, MOST_UNITS, LARGEST_IMAGE = 4096, 16384, 1024


@dataclass(frozen=True)
class Group:
    """The settings of a group: those that must be there, and further ones that may be added (``+group.key=value``)."""

    required: dict[str, Check] = field(default_factory=dict)
    optional: dict[str, Check] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=dict)  # settings of Lightning that ours replace


@dataclass(frozen=True)
class NamedGroup:
    """A group whose key ``name`` says which settings it has.

    Attributes:
        kind: what is named, for messages.
        options: by name. Those that are left out have the default of the library.
        common: settings of every name, also of those that plug-ins register.
        groups: groups below this one, of every name.
        required: whether all settings and groups must be there.
        open: whether plug-ins can register further names, with options that only their signature can check.
        nameless: whether ``name`` may be left out, for the common settings alone.
    """

    kind: str
    options: dict[str, dict[str, Check]]
    common: dict[str, Check] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    required: bool = False
    open: bool = False
    nameless: bool = False
