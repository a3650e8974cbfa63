"""Optimisations of speed."""
