"""The table and the plot of augmentation.py, from what was measured in its cells."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from chapter11_applications.cells import Cell
from chapter11_applications.four_classifiers import WAYS
from chapter11_applications.intervals import mean_and_margin
from common import images

RATES = ("accuracy", "sensitivity", "specificity")
# What is compared in pairs: each against none of it; and the GAN on top of classic augmentation,
# which is the question of Frid-Adar et al. (2018).
PAIRS = (("classic", "none"), ("gan", "none"), ("both", "classic"))
Measured = Mapping[Cell, dict[str, Any]]


def rows(measured: Measured) -> list[dict[str, Any]]:
    """A line for each cell, for history.csv."""
    return [
        {"images": cell.images, "seed": cell.seed}
        | {loss: found[loss] for loss in ("d_loss", "g_loss")}
        | {f"{way}_{rate}": found[way][rate] for way in WAYS for rate in RATES}
        for cell, found in measured.items()
    ]


def summarize(measured: Measured) -> dict[str, Any]:
    """For each number of images, as text: means over the seeds, with margins of 95 % intervals.

    Of each way its rates, and of each pair the difference of accuracies, seed by seed: both ways of
    a pair have the same images, so that what these are worth drops out.
    """
    summary = {}
    for count in dict.fromkeys(cell.images for cell in measured):
        found = [values for cell, values in measured.items() if cell.images == count]
        ways = {
            way: {rate: _described([f[way][rate] for f in found]) for rate in RATES} for way in WAYS
        }
        differences = {
            f"{way} - {other}": _described(
                [f[way]["accuracy"] - f[other]["accuracy"] for f in found]
            )
            for way, other in PAIRS
        }
        summary[str(count)] = ways | {"differences": differences}
    return summary


def _described(values):
    mean, margin = mean_and_margin(values)
    return {"mean": mean, "margin": margin, "values": values}


def verdict(difference: Mapping[str, Any]) -> str:
    """What an interval says: a gain or a loss, if 0 is not in it."""
    if abs(difference["mean"]) <= difference["margin"]:
        return "not significant"
    return "gain" if difference["mean"] > 0 else "loss"


def table(summary: Mapping[str, Any]) -> str:
    """Test accuracies, and their differences, as text."""
    line = "{:<12}" + "{:>16}" * len(WAYS)
    lines = ["test accuracy, %, mean and 95 % interval", line.format("images", *WAYS)]
    for count, found in summary.items():
        lines.append(line.format(count, *(_shown(found[way]["accuracy"]) for way in WAYS)))
    lines += ["", "differences in pairs, percentage points"]
    for count, found in summary.items():
        for pair, difference in found["differences"].items():
            lines.append(f"{count:<12}{pair:<20}{_shown(difference):>16}  {verdict(difference)}")
    return "\n".join(lines)


def _shown(described):
    return f"{100 * described['mean']:.1f} ± {100 * described['margin']:.1f}"


def plot(summary: Mapping[str, Any], title: str) -> bytes:
    """Accuracies, and differences in pairs, against the number of images, as PNG."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    counts = [int(count) for count in summary]
    pairs = [f"{way} - {other}" for way, other in PAIRS]
    series = {way: [found[way]["accuracy"] for found in summary.values()] for way in WAYS}
    gains = {pair: [found["differences"][pair] for found in summary.values()] for pair in pairs}
    for ax, lines in ((left, series), (right, gains)):
        for number, (name, described) in enumerate(lines.items()):
            # Side by side, so that no interval hides another.
            places = [count * (1 + 0.03 * number) for count in counts]
            means = [100 * d["mean"] for d in described]
            margins = [100 * d["margin"] for d in described]
            ax.errorbar(places, means, margins, fmt="o-", capsize=3, label=name)
        ax.set(xscale="log", xlabel="training images of each class")
        ax.set_xticks(counts, counts)
        ax.minorticks_off()
        ax.grid(alpha=0.3)
        ax.legend()
    right.axhline(0, color="black", linewidth=0.8)
    left.set_ylabel("test accuracy, %")
    right.set_ylabel("difference of accuracies, points")
    return images.figure_png(figure)
