"""The names of all optimisations of speed, in the order in which they are applied. This module imports nothing."""

NETWORK = ("pool_first", "channels_last", "patches", "crop", "flatten", "dropout")
TRAINING = ("fused", "several_steps")
PROCESS = ("memory", "subnormals", "cuda_check")
OPTIMISATIONS = (*NETWORK, *TRAINING, *PROCESS)
ALL = "all"  # in ``speed.off``: no optimisation at all
