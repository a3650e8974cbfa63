"""The names that ``speed.off`` takes. Imports nothing."""

OPTIMISATIONS: tuple[str, ...] = (
    "pool_first",
    "channels_last",
    "patches",
    "crop",
    "flatten",
    "dropout",
    "fused",
    "several_steps",
    "memory",
    "subnormals",
    "cuda_check",
)
ALL = "all"  # switches every optimisation off
