"""What report, explore and benchmarks share: one look, grids of images, tables."""
