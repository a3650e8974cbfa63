"""Trained networks at work: predict, digitise, export."""
