"""Styles of garments, which Fashion-MNIST has no labels of: measured, and clustered. NumPy alone.

Five properties of a garment's pixels say how light it is, and how patterned. Each is compared with
the other garments of its kind, so that a style is nothing that a kind has by itself, and k-means
groups all garments, of whatever kind, into styles.
"""

import dataclasses

import numpy as np

PROPERTIES = ("lightness", "contrast", "stripes across", "stripes along", "lighter above")
GARMENT = 16  # pixels of 0 to 255 above this are the garment's; below it is the background
ITERATIONS = 100  # of k-means, at most


def properties(images: np.ndarray) -> np.ndarray:
    """What PROPERTIES names, n×5, from images uint8, n×height×width×1.

    Lightness: the mean of the garment's pixels, 0 to 255. Contrast: their standard deviation.
    Stripes across and along: the mean difference of pixels that are neighbours down a column, and
    along a row. Lighter above: the lightness of the upper half, minus that of the lower.
    """
    grey = images[..., 0].astype(np.float32)
    inside = grey > GARMENT
    middle = grey.shape[1] // 2
    lightness = _mean(grey, inside)
    upper, lower = (_mean(grey[:, rows], inside[:, rows]) for rows in np.s_[:middle, middle:])
    deviations = np.square(grey - lightness[:, None, None])
    down = _mean(np.abs(np.diff(grey, axis=1)), inside[:, 1:] & inside[:, :-1])
    right = _mean(np.abs(np.diff(grey, axis=2)), inside[:, :, 1:] & inside[:, :, :-1])
    return np.stack([lightness, np.sqrt(_mean(deviations, inside)), down, right, upper - lower], 1)


def _mean(values, chosen):
    """The mean of each image's chosen pixels, n; 0 where none is."""
    return np.sum(values * chosen, axis=(1, 2)) / np.maximum(np.sum(chosen, axis=(1, 2)), 1)


@dataclasses.dataclass(frozen=True)
class Styles:
    """Styles of a set of training images: means and deviations, kinds×5, and centres, styles×5."""

    means: np.ndarray
    deviations: np.ndarray
    centres: np.ndarray

    def standardize(self, images: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Properties in standard deviations from the mean of the kind, n×5."""
        return (properties(images) - self.means[kinds]) / self.deviations[kinds]

    def distances(self, images: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Distances of images, uint8, of these kinds from the centre of each style, n×styles."""
        return np.sqrt(_squares(self.standardize(images, kinds), self.centres))

    def labels(self, images: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """The style of each image, n, int32: that of the nearest centre."""
        return np.argmin(self.distances(images, kinds), axis=1).astype(np.int32)


def find(images: np.ndarray, kinds: np.ndarray, count: int) -> Styles:
    """Clusters images, uint8, n×height×width×1, of kinds, n, into so many styles."""
    measured = properties(images)
    groups = [measured[kinds == kind] for kind in range(kinds.max() + 1)]
    means = np.stack([group.mean(axis=0) for group in groups])
    deviations = np.stack([group.std(axis=0) for group in groups]) + 1e-6  # of equal images
    centres = k_means((measured - means[kinds]) / deviations[kinds], count)
    return Styles(means, deviations, centres[np.argsort(centres[:, 0])])  # from dark to light


def k_means(points: np.ndarray, count: int) -> np.ndarray:
    """Centres of clusters, count×d, of points, n×d (Lloyd 1982).

    They begin as k-means++ has it: each next one is a point, likelier the farther it is from those
    before it (Arthur & Vassilvitskii 2007). The same points give the same centres.
    """
    random = np.random.default_rng(0)
    centres = points[[random.integers(len(points))]]
    while len(centres) < count:
        squares = _squares(points, centres).min(axis=1)
        total = squares.sum()  # 0 where each point is a centre already: then any
        chosen = random.choice(len(points), p=squares / total if total else None)
        centres = np.concatenate([centres, points[[chosen]]])
    for _ in range(ITERATIONS):
        nearest = np.argmin(_squares(points, centres), axis=1)
        moved = np.stack(
            [
                points[nearest == k].mean(axis=0) if np.any(nearest == k) else centre
                for k, centre in enumerate(centres)
            ]
        )
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _squares(points, centres):
    """Squared distances, n×count, in float64."""
    return np.stack([np.sum((points - centre) ** 2, axis=1) for centre in centres], axis=1)
