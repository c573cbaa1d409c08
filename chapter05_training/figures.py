"""What is drawn of several games that were trained on the same images."""

import csv
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from common import images
from common.training import TrainingRun


class Trained:
    """A finished run of one game.

    Args:
        name: the game's.
        folder: the run's.
    """

    def __init__(self, name: str, folder: Path):
        self.name = name
        self.results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        self.history = self._columns(folder / "history.csv")
        seconds = self._columns(folder / "timings.csv")["seconds"]
        # The first interval includes compiling, which a longer run would hardly notice.
        self.seconds = np.cumsum(
            [np.median(seconds[1:]) if len(seconds) > 1 else seconds[0], *seconds[1:]]
        )
        self.samples = images.read(folder / TrainingRun.picture(self.results["iterations"]))

    @staticmethod
    def _columns(path: Path) -> dict[str, np.ndarray]:
        with open(path, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}

    @property
    def images(self) -> np.ndarray:
        """Real images that the discriminator had seen at each measurement."""
        return self.history["iteration"] * self.results["images"] / self.results["iterations"]

    def correlations(self) -> dict[str, float | None]:
        """Rank correlation of each loss with the FID over the measurements, from -1 to 1."""
        fid = self.history["fid"]
        return {
            f"{loss}_fid_correlation": rank_correlation(self.history[loss], fid)
            for loss in ("d_loss", "g_loss")
        }


def rank_correlation(a, b) -> float | None:
    """Spearman's rank correlation of two sequences; None for fewer than three values.

    Equal values, which losses do not have, would need mean ranks.
    """
    if len(a) < 3:
        return None
    ranks_a, ranks_b = (np.argsort(np.argsort(values)) for values in (a, b))
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def samples(games: list[Trained], title: str) -> Figure:
    """The last samples of each game, from the same noise, side by side."""
    columns = min(4, len(games))
    rows = -(-len(games) // columns)
    figure = Figure(figsize=(3 * columns, 3.4 * rows), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, game in zip(axes, games, strict=False):
        ax.imshow(game.samples, cmap="gray", vmin=0, vmax=255)
        ax.set_title(f"{game.name}\nFID {game.results['fid']:.1f}")
    return figure


def fid_curves(games: list[Trained], title: str) -> Figure:
    """FID against the images that the discriminator has seen, and against seconds."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    by_images, by_seconds = figure.subplots(1, 2, sharey=True)
    for game in games:
        by_images.plot(game.images, game.history["fid"], ".-", label=game.name)
        by_seconds.plot(game.seconds, game.history["fid"], ".-", label=game.name)
    by_images.set(xlabel="real images seen", ylabel="FID (against training images)", yscale="log")
    by_seconds.set(xlabel="seconds of training")
    for ax in (by_images, by_seconds):
        ax.grid(alpha=0.3, which="both")
    by_seconds.legend()
    return figure


def losses(games: list[Trained], title: str) -> Figure:
    """Each game's own losses against the FID, a point for each measurement."""
    figure = Figure(figsize=(2.6 * len(games) + 0.6, 5), layout="constrained")
    figure.suptitle(f"{title}: does the loss tell how good the pictures are?")
    axes = figure.subplots(2, len(games), squeeze=False)
    for column, game in zip(axes.T, games, strict=True):
        correlations = game.correlations()
        for ax, loss, who in zip(
            column, ("d_loss", "g_loss"), ("discriminator", "generator"), strict=True
        ):
            ax.plot(game.history[loss], game.history["fid"], "-", color="lightgray")
            ax.scatter(game.history[loss], game.history["fid"], c=game.images, s=14)
            ax.set(xlabel=f"{who}'s loss", yscale="log")
            if game.name.startswith("wgan") and loss == "d_loss":
                ax.set_xlabel("critic's loss, minus the distance")
            r = correlations[f"{loss}_fid_correlation"]
            ax.set_title(game.name + ("" if r is None else f": r = {r:.2f}"), fontsize=10)
            ax.grid(alpha=0.3)
    for ax in axes[:, 0]:
        ax.set_ylabel("FID")
    return figure


def table(games: list[Trained]) -> str:
    """The games as text, a line each."""
    row = "{:<16}{:>12}{:>10}{:>8}{:>11}{:>9}{:>16}"
    lines = [row.format("", "images", "seconds", "FID", "precision", "recall", "best FID, after")]
    for game in games:
        found = game.results
        lines.append(
            row.format(
                game.name,
                found["images"],
                f"{game.seconds[-1]:.0f}",
                f"{found['fid']:.1f}",
                f"{found['precision']:.2f}",
                f"{found['recall']:.2f}",
                f"{found['best_fid']:.1f}, {found['best_iteration'] / found['iterations']:.0%}",
            )
        )
    return "\n".join(lines)
