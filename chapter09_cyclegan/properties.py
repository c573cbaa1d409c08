"""What can be measured of clothes and digits that a translation may keep. Imports no TensorFlow.

Images here are light on black: float in [-1, 1], n×height×width×1.
"""

import numpy as np

LEAST = 0.1  # of white: what is lighter belongs to the object, what is darker to the background


def silhouettes(images: np.ndarray) -> np.ndarray:
    """Which pixels belong to the object, bool, n×height×width."""
    return _grey(images) > LEAST


def properties(images: np.ndarray) -> dict[str, np.ndarray]:
    """Of each image, n: `shade`, the mean of the object's pixels, from 0 (black) to 1 (white);
    `contrast`, their standard deviation; `size`, their share of the image. 0 where there are none.
    """
    grey, inside = _grey(images), silhouettes(images)
    pixels = inside.sum(axis=(1, 2))
    shade = np.sum(grey * inside, axis=(1, 2)) / np.maximum(pixels, 1)
    squares = np.square(grey - shade[:, np.newaxis, np.newaxis]) * inside
    return {
        "shade": shade,
        "contrast": np.sqrt(squares.sum(axis=(1, 2)) / np.maximum(pixels, 1)),
        "size": pixels / inside[0].size,
    }


def silhouette_overlap(images: np.ndarray, others: np.ndarray) -> float:
    """Intersection over union of two objects' pixels; mean over the n pairs, 0 to 1."""
    one, other = silhouettes(images), silhouettes(others)
    both = np.sum(one & other, axis=(1, 2))
    return float(np.mean(both / np.maximum(np.sum(one | other, axis=(1, 2)), 1)))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of two properties, n and n, from -1 to 1.

    1: the larger the one, the larger the other. Being of ranks, it is the same whatever mean and
    spread a property has in each domain. 0 where one of them is the same for all images.
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1 on; equal values have the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _grey(images):
    return (images[..., 0].astype(np.float64) + 1) / 2
