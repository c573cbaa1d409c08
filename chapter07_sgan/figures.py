"""The figures of chapter 7: how well each classifier does, and where it goes wrong."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from common import images

BASELINE = "labelled images alone"  # the baseline's name in the table and the figures


def learning_curve(history: Sequence[dict[str, float]], baseline: float, title: str) -> bytes:
    """Test accuracy against the iteration, with the baseline's as a line, as PNG.

    Args:
        history: a dict a row, with "iteration" and "test_accuracy".
        baseline: test accuracy of the same network on the labelled images alone.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    iterations = [row["iteration"] for row in history]
    ax.plot(iterations, [row["test_accuracy"] for row in history], ".-", label="SGAN")
    ax.axhline(baseline, color="grey", linestyle="--", label=BASELINE)
    ax.set(xlabel="iteration", ylabel="test accuracy", title=title)
    ax.grid(alpha=0.3)
    ax.legend()
    return images.figure_png(figure)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Of the images of class i, the share that is taken for class j: classes×classes."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, predicted), 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def confusion(
    labels: np.ndarray, predictions: dict[str, np.ndarray], names: Sequence[str]
) -> bytes:
    """Confusion matrices side by side, as PNG.

    Args:
        labels: the true classes, n.
        predictions: for each classifier's name, the classes that it predicts, n.
        names: of the classes.

    Each row sums to 100 %: of a class's images, the share that is taken for each class.
    """

    def shown(share):  # so that few errors are not rounded away
        return f"{share:.1f}" if 99 < share < 100 or share < 1 else f"{share:.0f}"

    figure = Figure(figsize=(6 * len(predictions), 6.3), layout="constrained")
    for ax, (name, predicted) in zip(
        figure.subplots(1, len(predictions), squeeze=False)[0], predictions.items(), strict=True
    ):
        shares = 100 * confusion_matrix(labels, predicted, len(names))
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        for row, column in np.ndindex(shares.shape):
            if shares[row, column]:
                ax.text(
                    column,
                    row,
                    shown(shares[row, column]),
                    ha="center",
                    va="center",
                    color="white" if shares[row, column] > 50 else "black",
                )
        accuracy = np.mean(labels == predicted)
        ax.set(title=f"{name}: {accuracy:.2%}", xlabel="predicted", ylabel="true class, % of it")
        slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        long = max(map(len, names)) > 2  # clothes rather than digits
        ax.set_xticks(range(len(names)), names, **(slanted if long else {}))
        ax.set_yticks(range(len(names)), names)
    return images.figure_png(figure)
