"""Explores the latent space of a finished run of chapter 4 (Radford et al. 2016, section 6).

    python chapter04_dcgan/explore.py                          the latest run
    python chapter04_dcgan/explore.py 3                        run number 3
    python chapter04_dcgan/explore.py --arithmetic 9 4 6       9 - 4 + 6 instead of 8 - 3 + 5

What it makes goes into the run's folder, under explore/:

    interpolation.png   walks from one latent point to the next; interpolation.gif animates them
    nearest.png         samples, each over the training image that is nearest to it
    arithmetic.png      mean latent points of three classes, and what A - B + C generates
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter04_dcgan import train
from chapter04_dcgan.latent import around, class_mean
from common import cli, flags, runs
from common.flags import POSITIONAL
from common.latent import walk
from common.settings import Folder, Frozen, Seed

Digit = Annotated[int, Field(ge=0, le=9)]


class Settings(Frozen):
    """Which run to explore, and how."""

    run: Annotated[str, POSITIONAL] = "latest"
    """the run's folder or number"""
    arithmetic: tuple[Digit, Digit, Digit] = (8, 3, 5)
    """the classes A, B and C of A - B + C, each from 0 to 9"""
    seed: Seed = 0
    """of the latent points"""
    data_dir: Folder | None = None
    """where the run's data is, if it moved"""


def main(argv: list[str] | None = None) -> dict:
    settings = flags.read(__doc__, Settings, argv)
    run = runs.find_trained("chapter04_dcgan", train.Settings, settings.run)

    from common import data

    cli.setup(settings.seed)
    folder = settings.data_dir or run.config.data_dir
    dataset = data.load(run.data_name(folder), folder, run.config.validation_images)
    run.check_data(dataset.describe())
    shape = (None, *dataset.x_train.shape[1:])
    generator = run.load_model("generator", [(None, run.config.latent_dim)], [shape])
    random = np.random.default_rng(settings.seed)

    def draw_noise(count):
        return random.normal(size=(count, generator.input_shape[-1])).astype(np.float32)

    def generate(noise):
        return generator.predict(noise, batch_size=200, verbose=0)

    interpolate(run, generate, points=draw_noise(6))
    distance, test_distance = find_nearest(run, dataset, samples=generate(draw_noise(500)))
    print(f"pictures: {run.path / 'explore'}")
    print(
        f"distance of a sample to the nearest training image, median: {distance:.3f} (root mean "
        f"square of pixels in [-1, 1]); of a test image, which no generator has seen: "
        f"{test_distance:.3f}. Copies of training images would be near 0."
    )
    classes = calculate(
        run, dataset, generate, settings.arithmetic, noise=draw_noise(5_000), nearby=draw_noise(9)
    )
    a, b, c = settings.arithmetic
    print(f"{a} - {b} + {c}: the classifier sees {', '.join(map(str, classes))}")
    return {"arithmetic": classes, "distance": distance, "test_distance": test_distance}


def interpolate(run, generate, points) -> None:
    """Pictures of the walks from each latent point to the next, a row each, and an animation.

    Args:
        generate: noise, n×d, to images.
        points: n×d.
    """
    from common import images

    page = images.grid(generate(walk(points, steps=10)), columns=10)
    run.write("explore/interpolation.png", images.png(page))
    frames = [images.grid(x[None], columns=1, zoom=8) for x in generate(walk(points, steps=20))]
    run.write("explore/interpolation.gif", images.gif(frames, seconds=12, hold=0))


def find_nearest(run, dataset, samples) -> tuple[float, float]:
    """Pictures of ten samples over the training images nearest to them.

    Args:
        samples: generated images, n×28×28×1 in [-1, 1].

    Returns:
        The median distance of the samples to their nearest training image; and, to compare, that
        of as many test images, which the generator cannot have memorised.
    """
    from common import data, images, metrics

    training = data.scale(dataset.x_train)
    test = data.scale(dataset.x_test[: len(samples)])
    indices, distances = metrics.nearest(np.concatenate([samples, test]), training)
    pairs = np.concatenate([samples[:10], training[indices[:10]]])
    run.write("explore/nearest.png", images.png(images.grid(pairs, columns=10)))
    of_samples, of_test = distances[: len(samples)], distances[len(samples) :]
    return float(np.median(of_samples)), float(np.median(of_test))


def calculate(run, dataset, generate, arithmetic, noise, nearby) -> list[int]:
    """Pictures of A, B, C and A - B + C, each the mean latent point of a class.

    Args:
        generate: noise, n×d, to images.
        arithmetic: the classes A, B, C.
        noise: latent points, n×d, whose samples are classified.
        nearby: nine more, which say where around each mean to look.

    Returns:
        The classes that the classifier sees in the nine images of A - B + C.

    Raises:
        UserError: the generator makes too few samples of a class.
    """
    from matplotlib.figure import Figure

    from common import images, metrics

    classifier = metrics.Classifier(dataset.name)

    def classify(pictures):
        return np.argmax(classifier(pictures)[1], axis=1)

    classes = classify(generate(noise))
    a, b, c = (class_mean(noise, classes, wanted) for wanted in arithmetic)
    first, second, third = arithmetic
    terms = {f"{first}": a, f"- {second}": b, f"+ {third}": c, "=": a - b + c}
    # As in the paper, the point itself in the middle and eight near it.
    offsets = 0.5 * nearby
    offsets[4] = 0
    made = {name: generate(around(point, offsets)) for name, point in terms.items()}
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    for ax, (name, pictures) in zip(figure.subplots(1, 4), made.items(), strict=True):
        ax.imshow(images.grid(pictures, columns=3), cmap="gray", vmin=0, vmax=255)
        ax.set_title(name)
        ax.axis("off")
    run.write("explore/arithmetic.png", images.figure_png(figure))
    return classify(made["="]).tolist()


if __name__ == "__main__":
    cli.run(main)
