"""The figures of chapter 10. All give PNG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from common import images

NAMES = {"random": "random", "fgsm": "FGSM", "pgd": "PGD"}


def accuracy_curves(rows: Sequence[dict], title: str) -> bytes:
    """Accuracy against epsilon, a panel for each network that is attacked.

    Args:
        rows: of `evaluation.compare`.
    """
    attacked = list(dict.fromkeys(row["made_for"] for row in rows))
    figure = Figure(figsize=(5.5 * max(len(attacked), 2), 4.4), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(1, len(attacked), squeeze=False, sharey=True)[0]
    for ax, network in zip(axes, attacked, strict=True):
        for attack, name in NAMES.items():
            for seen_by, style in ((network, "-"), ("second", ":")):
                chosen = [
                    row
                    for row in rows
                    if (row["made_for"], row["attack"], row["seen_by"])
                    == (network, attack, seen_by)
                ]
                transfer = seen_by != network
                if transfer and (network != "undefended" or attack == "random"):
                    continue
                ax.plot(
                    [row["epsilon"] for row in chosen],
                    [row["accuracy"] for row in chosen],
                    f".{style}",
                    color=f"C{list(NAMES).index(attack)}",
                    label=f"{name}, on the second network" if transfer else name,
                )
        ax.set(xlabel="epsilon (images in [0, 1])", title=f"{network} network", ylim=(-0.03, 1.03))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("test accuracy")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return images.figure_png(figure)


def gallery(
    originals: np.ndarray,
    adversarial: Mapping[str, np.ndarray],
    seen: Mapping[str, Sequence[np.ndarray]],
    epsilon: float,
) -> bytes:
    """Images, what was added to them, and the sum, with what the network sees and how surely.

    Args:
        originals: in [0, 1], n×28×28×1.
        adversarial: for each network's name, the images made for it.
        seen: for each network's name, the probabilities of the originals and of those, n×10.
    """
    n = len(originals)
    figure = Figure(figsize=(1.25 * n, 4.9 * len(adversarial)), layout="constrained")
    parts = figure.subfigures(len(adversarial), squeeze=False)[:, 0]
    for part, (network, images_for_it) in zip(parts, adversarial.items(), strict=True):
        part.suptitle(f"{network} network, PGD, epsilon {epsilon:g}")
        axes = part.subplots(3, n, squeeze=False)
        names = ("original", f"change, {0.5 / epsilon:.2g} times", "adversarial")
        for row, name in zip(axes, names, strict=True):
            row[0].set_ylabel(name)
        perturbations = images_for_it - originals
        for i, ax in enumerate(axes[1]):
            ax.imshow(perturbations[i, ..., 0], cmap="gray", vmin=-epsilon, vmax=epsilon)
        before, after = seen[network]
        for row, pixels, probabilities in (
            (axes[0], originals, before),
            (axes[2], images_for_it, after),
        ):
            for i, ax in enumerate(row):
                ax.imshow(pixels[i, ..., 0], cmap="gray", vmin=0, vmax=1)
                best = probabilities[i].argmax()
                ax.set_title(f"{best}: {probabilities[i, best]:.0%}", fontsize=10)
        for ax in axes.flat:
            ax.set(xticks=[], yticks=[])
    return images.figure_png(figure)


def smallest_epsilons(
    epsilons: Mapping[str, np.ndarray], largest: float, parts: int, title: str
) -> bytes:
    """A histogram of the smallest epsilon that is enough, image by image.

    Args:
        epsilons: for each network's name, n multiples of largest / parts; 0 where the network is
            wrong without any, infinite where `largest` is not enough.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    # Four of these multiples each; the first, beside 0, only the images that need no attack.
    bins: Any = np.arange(-3.5, parts + 4, 4) / parts * largest
    for name, values in epsilons.items():
        inside = values[np.isfinite(values)]
        beyond = 1 - len(inside) / len(values)
        label = f"{name} network ({beyond:.0%} withstand {largest:g})"
        ax.hist(inside, bins, weights=np.full(len(inside), 1 / len(values)), alpha=0.6, label=label)
    ax.set(
        xlabel="smallest epsilon that PGD needs (left of 0: none)",
        ylabel="share of images",
        title=title,
    )
    ax.legend()
    return images.figure_png(figure)


def by_setting(rows: Mapping[str, Sequence[dict]], setting: str, title: str) -> bytes:
    """Loss and accuracy under PGD against the size or the number of its steps.

    Args:
        rows: for each network's name, those of `checks.by_setting`.
        setting: "step_size" or "steps".
    """
    label = {"step_size": "size of a step (share of epsilon)", "steps": "number of steps"}[setting]
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    figure.suptitle(title)
    for ax, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name, row in rows.items():
            values = [r[setting] for r in row]
            ax.plot(values, [r[what] for r in row], ".-", label=f"{name} network")
        ax.set(xscale="log", xlabel=label)
        if what == "loss":
            ax.set(yscale="log", ylabel="loss (nats an image)")
        else:
            ax.set(ylabel="test accuracy", ylim=(-0.03, 1.03))
        ax.grid(alpha=0.3)
        ax.legend()
    return images.figure_png(figure)


def photo(
    original: np.ndarray,
    adversarial: np.ndarray,
    before: Mapping[str, float],
    after: Mapping[str, float],
    epsilon: float,
) -> bytes:
    """A photo, what was added to it, and the sum, with the likeliest classes under them.

    Args:
        original, adversarial: uint8, height×width×3.
        before, after: classes and probabilities, the likeliest first.
        epsilon: at least 1, of 0 to 255; the change is shown so much enlarged that it fills this
            range.
    """
    change = adversarial.astype(np.float32) - original
    figure = Figure(figsize=(10.5, 5.4), layout="constrained")
    panels: tuple[tuple[str, np.ndarray, Mapping[str, float]], ...] = (
        ("original", original, before),
        (f"change, {127.5 / epsilon:.3g} times", 0.5 + change / (2 * epsilon), {}),
        ("adversarial", adversarial, after),
    )
    for ax, (title, pixels, classes) in zip(figure.subplots(1, 3), panels, strict=True):
        ax.imshow(pixels)
        ax.set(title=title, xticks=[], yticks=[])
        lines = [f"{share:.1%}  {name}" for name, share in classes.items()]
        ax.set_xlabel("\n".join(lines), loc="left", linespacing=1.4)
    return images.figure_png(figure)


def noise_grid(
    pictures: np.ndarray,
    captions: Sequence[str],
    means: Sequence[float],
    deviations: Sequence[float],
) -> bytes:
    """Images of noise, a row for each mean and a column for each standard deviation.

    Args:
        pictures: uint8, (rows·columns)×height×width×3.
        captions: of each.
    """
    figure = Figure(figsize=(2.1 * len(deviations), 2.5 * len(means)), layout="constrained")
    axes = figure.subplots(len(means), len(deviations))
    for ax, pixels, caption in zip(axes.flat, pictures, captions, strict=True):
        ax.imshow(pixels)
        ax.set(xticks=[], yticks=[])
        ax.set_title(caption, fontsize=9)
    for ax, mean in zip(axes[:, 0], means, strict=True):
        ax.set_ylabel(f"mean {mean}")
    for ax, deviation in zip(axes[-1], deviations, strict=True):
        ax.set_xlabel(f"deviation {deviation}")
    return images.figure_png(figure)
