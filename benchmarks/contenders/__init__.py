"""What is compared: this library, and each of its peers as its users would write it."""

# What makes this library's training fast; `benchmarks.contenders.zoo` knows how to take each out.
LEVERS = (
    "fused optimizer",
    "channels_last",
    "pooling first",
    "first stage from patches",
    "unseen pixels left out",
    "dropout from uniform numbers",
    "freed memory kept",
    "subnormals flushed",
    "several steps a call",
)
