"""Marks of single cases."""

import pytest


def slow(value):
    """A case that runs with ``-m slow`` only."""
    return pytest.param(value, marks=pytest.mark.slow)
