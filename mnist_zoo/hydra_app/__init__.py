"""The command line and sweeps on top of Hydra."""
