"""The figures and the table of design.py."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from chapter11_applications.styles import Styles
from common import data, images

EXAMPLES = 3  # designs of each kind in a picture
# Of the table: what results.json calls it, and its value for real test images; this is the same for
# all variants, but for the entropy, which the first one's discriminator has.
ROWS = {
    "FID": ("fid", None),
    "kind as asked": ("label_accuracy", "test_label_accuracy"),
    "precision": ("precision", None),
    "recall": ("recall", None),
    "distance to the nearest training image, pixels": ("pixels_distance", "test_pixels_distance"),
    "the same in the classifier's features": ("features_distance", "test_features_distance"),
    "distance to the nearest style": ("style_distance", "test_style_distance"),
    "entropy of the style, nats": ("style_entropy", "test_style_entropy"),
}


def styles(found: Styles, dataset: data.Dataset) -> bytes:
    """A row for each style, from dark to light, a column for each kind, as PNG.

    Shown is the training image that is nearest to the style's centre.
    """
    names = data.class_names(dataset.name)
    distances = found.distances(dataset.x_train, dataset.y_train)
    rows = [
        dataset.x_train[np.argmin(np.where(dataset.y_train == kind, distances[:, style], np.inf))]
        for style in range(len(found.centres))
        for kind in range(len(names))
    ]
    return images.png(images.grid(data.scale(np.stack(rows)), columns=len(names)))


def designs(
    made: Mapping[str, np.ndarray], novelty: Mapping[str, dict], measurement, title: str
) -> bytes:
    """Of each variant, a row for each kind: designs, each with the nearest training image, as PNG.

    Args:
        made: designs by variant, uint8, of `measurement.kinds`; the first of each kind are shown.
        novelty: what `Measurement.novelty` gives of them, by variant.
        measurement: the `novelty.Measurement`.
    """
    kinds = measurement.kinds
    shown = np.concatenate(
        [np.resize(np.flatnonzero(kinds == kind), EXAMPLES) for kind in np.unique(kinds)]
    )
    figure = Figure(figsize=(6.2 * len(made), 10.6), layout="constrained")
    figure.suptitle(f"{title}: designs, each with the nearest training image on its right")
    for ax, name in zip(figure.subplots(1, len(made), squeeze=False)[0], made, strict=True):
        nearest = measurement.dataset.x_train[novelty[name]["nearest"][shown]]
        pairs = np.stack([made[name][shown], nearest], axis=1).reshape(-1, *nearest.shape[1:])
        page = images.grid(data.scale(pairs), columns=2 * EXAMPLES)
        ax.imshow(page, cmap="gray", vmin=0, vmax=255)
        ax.set_title(name)
        ax.axis("off")
    return images.figure_png(figure)


def novelty(found: Mapping[str, dict], title: str) -> bytes:
    """How distances from what is known are spread, for each variant and test images, as PNG."""
    labels = {
        "pixels": "distance to the nearest training image of the kind",
        "features": "the same in the classifier's features",
        "style": "distance to the nearest style, standard deviations",
    }
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle(title)
    for ax, (name, label) in zip(figure.subplots(1, 3), labels.items(), strict=True):
        for variant, values in found.items():
            distances = np.sort(values[name])
            shares = 100 * np.arange(1, len(distances) + 1) / len(distances)
            label_of = "real test images" if variant == "test" else variant
            ax.plot(distances, shares, "k--" if variant == "test" else "-", label=label_of)
        ax.set(xlabel=label, ylabel="% of images that are as near, or nearer")
        ax.grid(alpha=0.3)
    ax.legend()
    return images.figure_png(figure)


def table(results: Mapping[str, dict[str, Any]]) -> str:
    """The variants side by side, and real test images, as text."""
    line = "{:<48}" + "{:>12}" * (len(results) + 1)
    lines = [line.format("", *results, "real, test")]
    for label, (name, of_test) in ROWS.items():
        values = [f"{found[name]:.3f}" for found in results.values()]
        real = f"{next(iter(results.values()))[of_test]:.3f}" if of_test else "-"
        lines.append(line.format(label, *values, real))
    return "\n".join(lines)
