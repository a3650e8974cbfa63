"""Plots and tables that training, the report, `mnist_zoo.explore` and the benchmarks share."""
