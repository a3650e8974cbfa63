"""The command line and the sweeps, on top of Hydra. Imports nothing by itself."""
