"""Pictures of what a pixel attends to, and of the comparison with and without attention."""

import csv

import keras
import numpy as np
from matplotlib.figure import Figure

from common import images
from common.model import predict

SHOWN = 4  # generated images


def maps(gan) -> bytes:
    """What positions of generated images attend to, in both networks, as PNG.

    For each image two queries, marked in orange: the brightest position of its left third, which
    lies on a stroke, and a corner of the background. Beside it the weights of the positions that
    these attend to, in the generator and in the discriminator; bright is much.
    """
    noise = gan.fixed_noise(SHOWN)
    generated = predict(gan.generator, noise)
    height, width = generated.shape[1:3]
    columns = {
        "generator": attention_weights(gan.generator, noise),
        "discriminator": attention_weights(gan.discriminator, generated),
    }
    figure = Figure(figsize=(3 * width / height + 1, 2.2 * SHOWN), layout="constrained")
    axes = figure.subplots(2 * SHOWN, 3)
    for row, ax in enumerate(axes):
        image = generated[row // 2, ..., 0]
        y, x = stroke(image) if row % 2 == 0 else (0, 0)
        query = y // 2 * (width // 2) + x // 2  # the layer is at half the height and width
        ax[0].imshow(image, cmap="gray", vmin=-1, vmax=1)
        for panel, (name, weights) in zip(ax[1:], columns.items(), strict=True):
            found = weights[row // 2, query].reshape(height // 4, width // 4)
            panel.imshow(found.repeat(4, 0).repeat(4, 1), cmap="inferno", vmin=0)
            panel.set_title(name if row == 0 else "", fontsize=9)
        for panel in ax:
            panel.plot(x, y, "o", color="tab:orange", markersize=5)
            panel.axis("off")
    return images.figure_png(figure)


def attention_weights(network: keras.Model, inputs) -> np.ndarray:
    """The weights of a network's attention, n×positions×positions that are attended to."""
    _, weights = network.get_layer("attention").output
    return predict(keras.Model(network.inputs, weights), inputs)


def stroke(image: np.ndarray) -> tuple[int, int]:
    """Row and column of the brightest 2×2 pixels in the left third of an image, height×width."""
    left = image[:, : image.shape[1] // 3 // 2 * 2]
    means = left.reshape(len(left) // 2, 2, -1, 2).mean(axis=(1, 3))
    y, x = np.unravel_index(np.argmax(means), means.shape)
    return 2 * int(y), 2 * int(x)


def compare(run, found: dict[str, dict]) -> dict[str, dict]:
    """Prints a table of both networks, draws comparison.png, and writes results.json.

    Args:
        run: the `training.TrainingRun`, whose parts are trained.
        found: what the parts' results.json hold, "attention" and "plain".

    Returns:
        What results.json holds: that, and for the network without attention what it had after as
        many iterations as the other.
    """
    histories = {name: columns(run.path / name / "history.csv") for name in found}
    iterations = found["attention"]["iterations"]
    early = {
        key: float(values[histories["plain"]["iteration"] == iterations][0])
        for key, values in histories["plain"].items()
        if key in ("fid", "match", "chance")
    }
    seconds = found["plain"]["seconds_per_iteration"]
    early |= {"iterations": iterations, "seconds_per_iteration": seconds}
    rows = {
        "attention": found["attention"],
        "plain, as many iterations": early,
        "plain, all iterations": found["plain"],
    }
    print(f"\n{table(rows)}\n\npictures: {run.path}")
    if run.config.fid:
        run.write("comparison.png", draw(histories, found, f"Chapter 12, {run.config.dataset}"))
    run.write_json("results.json", rows)
    return rows


def columns(path) -> dict[str, np.ndarray]:
    """A table in CSV as arrays, by the names of its columns."""
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def table(rows: dict[str, dict]) -> str:
    """The networks as text, a line each."""
    names = [name for name in ("match", "chance", "fid") if name in rows["attention"]]
    line = "{:<28}" + "{:>12}" * (len(names) + 2)
    lines = [line.format("", "iterations", "seconds", *names)]
    for name, row in rows.items():
        each = row["seconds_per_iteration"]
        seconds = f"{each * row['iterations']:.0f}" if each else "-"
        values = [f"{row[key]:.3g}" if key in row else "-" for key in names]
        lines.append(line.format(name, row["iterations"], seconds, *values))
    return "\n".join(lines)


def draw(histories: dict, found: dict, title: str) -> bytes:
    """Match and chance, if there are pairs, and FID, against seconds of training, as PNG."""
    panels: dict[str, list[str]] = {"FID": ["fid"]}
    if "match" in found["attention"]:
        panels = {"share of pairs that match": ["match", "chance"], **panels}
    figure = Figure(figsize=(5 * len(panels), 3.6), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (label, keys) in zip(axes, panels.items(), strict=True):
        for name, history in histories.items():
            color = "tab:blue" if name == "attention" else "tab:orange"
            row = found[name]
            each = row["seconds_per_iteration"] or row["seconds"] / row["iterations"]
            for key in keys:
                style = ":" if key == "chance" else ".-"
                text = f"{name}, by chance" if key == "chance" else name
                ax.plot(history["iteration"] * each, history[key], style, color=color, label=text)
        ax.set(xlabel="seconds of training", ylabel=label)
        ax.set_yscale("log" if label == "FID" else "linear")
        ax.grid(alpha=0.3)
        ax.legend()
    return images.figure_png(figure)
