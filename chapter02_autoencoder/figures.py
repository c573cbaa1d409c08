"""The pictures of chapter 2: figures 2.6 and 2.7 of the book, reconstructions, random samples."""

from statistics import NormalDist

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from common import images


def write_figures(
    run, model, test_images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], title: str
) -> None:
    """Writes the pictures of a trained model into the run's folder.

    latent_space.png and manifold.png are drawn only for a latent space of two dimensions.

    Args:
        model: a VAE or an Autoencoder.
        test_images: n×784 in [0, 1].
        labels: n, 0 to 9.
        classes: what the labels stand for.
        title: of the run.
    """
    codes = ops.convert_to_numpy(model.encode(test_images))
    if model.latent_dim == 2:
        plot = latent_space(codes, labels, classes, f"{title}: codes of the test images")
        run.write("latent_space.png", plot)
        run.write("manifold.png", images.png(manifold(model)))
    pairs = reconstructions(test_images[:50], model.decode(codes[:50]))
    run.write("reconstructions.png", images.png(pairs))
    run.write("prior_samples.png", images.png(prior_samples(model)))


def latent_space(
    codes: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], title: str
) -> bytes:
    """Figure 2.6 as PNG: codes, n×2, each a dot coloured by its label, a number of a class."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    ax = figure.subplots()
    for label, name in enumerate(classes):
        z1, z2 = codes[labels == label].T
        ax.scatter(z1, z2, s=4, color=f"C{label}", label=name, linewidths=0)
    ax.set(title=title, xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    ax.legend(markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5))
    return images.figure_png(figure)


def manifold(model) -> np.ndarray:
    """Figure 2.7, uint8 pixels: the images of a grid of codes, for two latent dimensions."""
    return grid(model.decode(manifold_codes()), columns=15, zoom=2, gap=0)


def manifold_codes(side: int = 15) -> np.ndarray:
    """Codes for figure 2.7, side²×2, row by row from the top: z₂ falls, z₁ grows to the right.

    Evenly spaced by probability rather than by distance: the inverse of the normal distribution's
    cumulative function, so that the grid is as dense as the prior.
    """
    values = [NormalDist().inv_cdf(p) for p in np.linspace(0.05, 0.95, side)]
    return np.array([[z1, z2] for z2 in reversed(values) for z1 in values], np.float32)


def prior_samples(model) -> np.ndarray:
    """100 images of codes drawn from the prior, uint8 pixels: the same codes each time."""
    return grid(model.generate(100), columns=10)


def reconstructions(originals: np.ndarray, reconstructed: np.ndarray, columns=10) -> np.ndarray:
    """Each row of originals above the row of their reconstructions, uint8 pixels.

    Args:
        originals, reconstructed: both n×784 in [0, 1].
    """
    rows = []
    for start in range(0, len(originals), columns):
        rows += [originals[start : start + columns], reconstructed[start : start + columns]]
    return grid(np.concatenate(rows), columns)


def grid(pixels: np.ndarray, columns: int, **kwargs) -> np.ndarray:
    """`images.grid` of images given as n×784 in [0, 1]."""
    return images.grid(np.reshape(pixels, (-1, 28, 28, 1)) * 2 - 1, columns, **kwargs)
