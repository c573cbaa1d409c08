"""What the metrics of GANs in Action, section 5.1, see, and what they do not see.

    python chapter05_training/measure.py                            MNIST
    python chapter05_training/measure.py --dataset fashion_mnist    clothes

Real images, and real images spoilt in known ways, are measured as a generator's would be: by the
Inception Score and the FID, with a classifier of the data in Inception's place, and by precision
and recall. measure.png and results.json go into runs/chapter05_measure/NUMBER.
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli, flags, runs
from common.settings import DigitSet, Folder, Frozen, Seed

SHOWN = 8  # images of each set in the picture


class Settings(Frozen):
    """On which images."""

    dataset: DigitSet = "mnist"
    """digits or clothes"""
    data_dir: Folder | None = None
    """a folder with the data set; see train.py"""
    seed: Seed = 0
    """of the noise"""
    output_dir: Annotated[Folder | None, Field(exclude=True)] = None
    """where the picture goes (default: runs/chapter05_measure/NUMBER)"""


def main(argv: list[str] | None = None) -> dict:
    config = flags.read(__doc__, Settings, argv)
    run = runs.new("chapter05_measure", config, config.output_dir)
    cli.setup(config.seed)
    from common import data, metrics

    dataset = data.load(config.dataset, config.data_dir)
    run.start(dataset.describe())
    evaluator = metrics.Evaluator(dataset.name, dataset.x_test)
    sets = spoil(data.scale(dataset.x_train), dataset.y_train, len(dataset.x_test), config.seed)
    print(f"{dataset.source}: against {len(dataset.x_test)} test images\n")
    row = "{:<32}{:>8}{:>10}{:>8}{:>9}{:>11}{:>8}"
    print(row.format("", "images", "FID", "score", "classes", "precision", "recall"))
    results = {}
    for name, images in sets.items():
        found = report(evaluator, images)
        results[name] = found
        print(
            row.format(
                name,
                len(images),
                f"{found['fid']:.2f}",
                f"{found['classifier_score']:.2f}",
                found["classes_covered"],
                f"{found['precision']:.3f}",
                f"{found['recall']:.3f}",
            ),
            flush=True,
        )
    run.write("measure.png", draw(sets, results, f"Chapter 5, {config.dataset}"))
    run.write_json("results.json", results)
    print(f"\npicture: {run.path / 'measure.png'}")
    return results


def report(evaluator, images: np.ndarray) -> dict:
    """What results.json says of images, n×28×28×1, float in [-1, 1]."""
    return evaluator.report(lambda count: images[:count], len(images))


def spoil(images: np.ndarray, labels: np.ndarray, n: int, seed: int) -> dict[str, np.ndarray]:
    """Sets of images to be measured, by what was done to them.

    Args:
        images: real ones, float in [-1, 1], m×28×28×1.
        labels: m.
        n: images in a set, where there are as many.
    """
    random = np.random.default_rng(seed)
    real = images[:n]
    normal = random.normal(size=real.shape).astype(np.float32)
    neighbours = [np.roll(real, (y, x), axis=(1, 2)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    first_of_class = [np.argmax(labels == label) for label in range(10)]
    few = max(len(real) // 10, 65)  # the FID needs more than 64
    return {
        "training images": real,
        "a tenth of them": real[:few],
        "a tenth of them, ten times": np.tile(real[:few], (10, 1, 1, 1))[:n],
        "shifted by 2 pixels": np.roll(real, 2, axis=2),
        "blurred": np.mean(neighbours, axis=0),
        "noise of deviation 0.3 added": np.clip(real + 0.3 * normal, -1, 1),
        "all classes but number 8": images[labels != 8][:n],
        "five classes of ten": images[labels < 5][:n],
        "one class": images[labels == 3][:n],
        "one image of each class": images[np.resize(first_of_class, n)],
        "uniform noise": random.uniform(-1, 1, real.shape).astype(np.float32),
    }


def draw(sets: dict[str, np.ndarray], results: dict[str, dict], title: str) -> bytes:
    """The first images of each set, beside what was measured, as PNG."""
    from matplotlib.figure import Figure

    from common import images

    figure = Figure(figsize=(10, 0.75 * len(sets) + 0.5), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(sets), 3, width_ratios=(3, 7, 3), squeeze=False)
    for (left, middle, right), (name, pictures) in zip(axes, sets.items(), strict=True):
        for ax in (left, middle, right):
            ax.axis("off")
        page = images.grid(pictures[:SHOWN], columns=SHOWN)
        middle.imshow(page, cmap="gray", vmin=0, vmax=255)
        found = results[name]
        left.text(1, 0.5, name, ha="right", va="center")
        words = f"FID {found['fid']:.1f}, score {found['classifier_score']:.2f}\n"
        words += f"precision {found['precision']:.2f}, recall {found['recall']:.2f}"
        right.text(0, 0.5, words, ha="left", va="center")
    return images.figure_png(figure)


if __name__ == "__main__":
    cli.run(main)
