"""The pictures of chapter 2."""

from statistics import NormalDist

import numpy as np
from matplotlib.figure import Figure

from common import images


def page(pixels: np.ndarray, columns: int, **kwargs) -> np.ndarray:
    """A grid of images given as n×784 in [0, 1]."""
    return images.grid(np.reshape(pixels, (-1, 28, 28, 1)) * 2 - 1, columns, **kwargs)


def manifold_codes(side: int = 15) -> np.ndarray:
    """Codes for figure 2.7, side²×2, row by row from the top: z₂ falls, z₁ grows to the right.

    Evenly spaced by probability rather than by distance: the inverse of the normal distribution's
    cumulative function, so that the grid is as dense as the codes are.
    """
    values = [NormalDist().inv_cdf(p) for p in np.linspace(0.05, 0.95, side)]
    return np.array([[z1, z2] for z2 in reversed(values) for z1 in values], np.float32)


def latent_space(codes: np.ndarray, labels: np.ndarray, title: str) -> bytes:
    """Figure 2.6 as PNG: codes, n×2, each a dot coloured by its label, 0 to 9."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    ax = figure.subplots()
    for label in range(10):
        z1, z2 = codes[labels == label].T
        ax.scatter(z1, z2, s=4, color=f"C{label}", label=str(label), linewidths=0)
    ax.set(title=title, xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    ax.legend(markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5))
    return images.figure_png(figure)


def reconstructions(originals: np.ndarray, reconstructed: np.ndarray, columns=10) -> np.ndarray:
    """Rows of originals, each over the row of its reconstructions; both n×784 in [0, 1]."""
    rows = []
    for start in range(0, len(originals), columns):
        rows += [originals[start : start + columns], reconstructed[start : start + columns]]
    return page(np.concatenate(rows), columns)
