"""The settings of a configuration: which there are, and which values each may have."""

from mnist_zoo.settings.configuration import check, check_value

__all__ = ["check", "check_value"]
