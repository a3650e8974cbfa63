"""The names of the splits, in the order of loaders, files and tables. This module imports nothing."""

SPLITS = ("train", "val", "test")
