"""Two-dimensional t-SNE embeddings of images."""

from __future__ import annotations

import importlib.util
import time

import numpy as np

from mnist_zoo.errors import InputError, install_command

SCIKIT_LEARN_LIMIT = 5000  # images that scikit-learn's t-SNE embeds within a minute; openTSNE is faster beyond
FEWEST = 10  # images that t-SNE can embed
COMPONENTS = 50  # principal components that t-SNE receives; the remaining ones are mostly noise


def embed(images: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embed randomly drawn images in the plane by t-SNE of their raw pixels (van der Maaten & Hinton 2008).

    The duration is printed, and with openTSNE the progress too.

    Args:
        images: uint8 ``(N, C, H, W)``.
        count: number of images to draw.
        seed: of the draw and of t-SNE.

    Returns:
        Indices of the drawn images ``(count,)`` and their positions ``(count, 2)``.

    Raises:
        InputError: if `count` is below 10 or above N, or if openTSNE is needed but not installed.
    """
    require_possible(count, len(images))
    from sklearn.decomposition import PCA  # here: errors need not wait for this import

    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    pixels = images[chosen].reshape(count, -1).astype(np.float32) / 255
    components = PCA(min(COMPONENTS, *pixels.shape), random_state=seed).fit_transform(pixels)
    started = time.perf_counter()
    print(f"t-SNE of {count:,} images ...", flush=True)
    positions = (_by_opentsne if count > SCIKIT_LEARN_LIMIT else _by_scikit_learn)(components, seed)
    print(f"  done in {time.perf_counter() - started:.1f} s", flush=True)
    return chosen, positions


def require_possible(count: int, available: int) -> None:
    """Raise InputError unless `count` of the `available` images can be embedded here."""
    if not FEWEST <= count <= available:
        raise InputError(f"--tsne {count}: choose from {FEWEST} to {available} images, or 0 for none")
    if count > SCIKIT_LEARN_LIMIT and importlib.util.find_spec("openTSNE") is None:
        raise InputError(
            f"--tsne {count}: t-SNE of more than {SCIKIT_LEARN_LIMIT} images needs openTSNE: {install_command('tsne')}"
        )


def _perplexity(count: int) -> int:
    """Return the usual 30, or less for few images: t-SNE needs three times as many neighbours."""
    return min(30, (count - 1) // 3)


def _by_scikit_learn(components: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    return TSNE(perplexity=_perplexity(len(components)), init="pca", random_state=seed).fit_transform(components)


def _by_opentsne(components: np.ndarray, seed: int) -> np.ndarray:
    from openTSNE import TSNE

    started = time.perf_counter()

    def show(iteration: int, error: float, embedding: np.ndarray) -> None:
        print(f"  {iteration} iterations, {time.perf_counter() - started:.0f} s, KL {error:.3f}", flush=True)

    options = {"perplexity": _perplexity(len(components)), "random_state": seed, "n_jobs": -1}
    return np.asarray(TSNE(callbacks=show, callbacks_every_iters=50, **options).fit(components))
