"""Keras 3 on TensorFlow: the same networks trained by ``fit``, with the images scaled in memory."""

from __future__ import annotations

from pathlib import Path

from benchmarks.turn import Missing, Turn
from mnist_zoo.errors import install_command


def main(turn: Turn, model: str, batch_size: int, root: str, fraction: float, threads: int) -> None:
    """Train one epoch each turn.

    Args:
        turn: the parent's word.
        model: ``mlp`` or ``cnn``.
        batch_size: images in a batch.
        root: folder that holds ``MNIST/raw``.
        fraction: share of the training images.
        threads: for TensorFlow's operations.
    """
    try:
        import keras
        import numpy as np
        import tensorflow as tf
    except ImportError as error:
        raise Missing(
            f"not installed ({error}): {install_command('benchmark')}, best in an environment of its own "
            f"(--keras-python)"
        ) from error
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    raw = Path(root) / "MNIST" / "raw"
    pixels = np.frombuffer((raw / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    classes = np.frombuffer((raw / "train-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    count = round(len(pixels) * 11 / 12 * fraction)  # as many as the other contenders train on
    images, labels = (pixels[:count].astype("float32") / 255 - 0.1307) / 0.3081, classes[:count].astype("int64")

    layers = keras.layers
    if model == "mlp":
        hidden = [layers.Flatten(), layers.Dense(120, activation="relu"), layers.Dense(84, activation="relu")]
    else:
        hidden = [
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
        ]
    network = keras.Sequential([keras.Input((28, 28, 1)), *hidden, layers.Dense(10)])
    network.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    class Epochs(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            turn.wait()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            turn.report(count)

    network.fit(images, labels, batch_size=batch_size, epochs=1_000_000, verbose=2, callbacks=[Epochs()])
