"""Explores the latent space of a finished run of chapter 4 (Radford et al. 2016, section 6).

    python chapter04_dcgan/explore.py                          the latest run
    python chapter04_dcgan/explore.py 3                        run number 3
    python chapter04_dcgan/explore.py --arithmetic 9 4 6       9 - 4 + 6 instead of 8 - 3 + 5

What it makes goes into the run's folder, under explore/:

    interpolation.png   walks from one latent point to the next, and the same walks as a film, .gif
    arithmetic.png      mean latent points of three classes, and what A - B + C generates
    nearest.png         samples, each over the training image that is nearest to it
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from common import UserError, cli


def slerp(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Spherical interpolation from one latent point to another (White 2016).

    Nearly all of a normal distribution of 100 dimensions lies near a sphere of radius 10. The
    straight line between two of its points leads through the inside, where the generator has
    hardly ever been in training; this keeps to the sphere.

    Args:
        start, end: points, n.
        steps: how many points to give, both ends included.

    Returns:
        steps×n. Where start and end have the same or opposite directions, so that no arc is the
        shortest, the straight line.
    """
    t = np.linspace(0, 1, steps)[:, None]
    cosine = np.dot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end))
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < 1e-6:
        return (1 - t) * start + t * end
    return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)


def walk(points: np.ndarray, steps: int) -> np.ndarray:
    """From each of n latent points to the next, and from the last to the first: n·steps×d."""
    ends = np.roll(points, -1, axis=0)
    # Each walk leaves out its last point, with which the next begins.
    return np.concatenate([slerp(a, b, steps + 1)[:-1] for a, b in zip(points, ends, strict=True)])


def class_mean(noise: np.ndarray, classes: np.ndarray, wanted: int, least: int = 20) -> np.ndarray:
    """The mean of the latent points whose samples are of a class.

    Args:
        noise: the points, n×d.
        classes: of their samples, as the classifier sees them, n.
        wanted: the class.
        least: so many there must be for their mean to say something.

    Returns:
        A point, d.

    Raises:
        UserError: the generator makes too few of that class.
    """
    points = noise[classes == wanted]
    if len(points) < least:
        raise UserError(
            f"--arithmetic {wanted}: only {len(points)} of {len(noise)} samples are of that class, "
            f"and {least} are needed; choose other classes, or train longer"
        )
    return points.mean(axis=0)


def around(point: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """The point's direction at the usual distance from the origin, √d, and places near it.

    A mean of many points lies near the origin, where no sample comes from.

    Args:
        point: d.
        beside: offsets, n×d.
    """
    return point * np.sqrt(len(point)) / np.linalg.norm(point) + beside


def build_parser() -> argparse.ArgumentParser:
    parser = cli.run_parser(__doc__)
    parser.add_argument(
        "--arithmetic",
        type=int,
        nargs=3,
        choices=range(10),
        default=[8, 3, 5],
        metavar=("A", "B", "C"),
        help="classes, each 0 to 9, for A - B + C (default: 8 3 5)",
    )
    parser.add_argument(
        "--seed",
        type=cli.seed_int,
        default=0,
        metavar="N",
        help="of the latent points (default: 0)",
    )
    parser.add_argument(
        "--data-dir", type=cli.folder, metavar="DIR", help="where the run's data is, if it moved"
    )
    return parser


def main(argv: list[str] | None = None) -> dict:
    options = build_parser().parse_args(argv)
    from common import runs

    run = runs.find_trained("chapter04_dcgan", options.run)

    from matplotlib.figure import Figure

    from common import data, device, images, metrics

    device.setup(options.seed)
    dataset = data.load(
        run.config.dataset,
        options.data_dir or run.config.data_dir,
        run.config.validation_images,
    )
    run.check_data(dataset.describe())
    generator = run.load_model("generator.keras")
    random = np.random.default_rng(options.seed)

    latent_dim = generator.input_shape[-1]

    def draw(count):
        return random.normal(size=(count, latent_dim)).astype(np.float32)

    def generate(noise):
        return generator.predict(noise, batch_size=200, verbose=0)

    def interpolate():
        """A row of pictures from each of six points to the next, and a film of the same walk."""
        points = draw(6)
        page = images.grid(generate(walk(points, steps=10)), columns=10)
        run.write("explore/interpolation.png", images.png(page))
        film = [images.grid(x[None], columns=1, zoom=8) for x in generate(walk(points, steps=20))]
        run.write("explore/interpolation.gif", images.gif(film, seconds=12, hold=0))

    def calculate():
        """What is around each of the points A, B, C and A - B + C; the classes of the last."""
        classifier = metrics.Classifier(dataset.name)

        def classes_of(pictures):
            return np.argmax(classifier(pictures)[1], axis=1)

        noise = draw(5_000)
        classes = classes_of(generate(noise))
        a, b, c = (class_mean(noise, classes, wanted) for wanted in options.arithmetic)
        first, second, third = options.arithmetic
        terms = {f"{first}": a, f"- {second}": b, f"+ {third}": c, "=": a - b + c}
        # As in the paper, the point itself in the middle and eight near it.
        beside = 0.5 * draw(9)
        beside[4] = 0
        figure = Figure(figsize=(8, 2.4), layout="constrained")
        for ax, (name, point) in zip(figure.subplots(1, 4), terms.items(), strict=True):
            pictures = generate(around(point, beside))
            ax.imshow(images.grid(pictures, columns=3), cmap="gray", vmin=0, vmax=255)
            ax.set_title(name)
            ax.axis("off")
        run.write("explore/arithmetic.png", images.figure_png(figure))
        return classes_of(pictures).tolist()

    def find_nearest():
        """Samples over their nearest training images; how far they are from these, and how far
        test images are, which nobody can have learned by heart."""
        training = data.scale(dataset.x_train)
        samples = generate(draw(500))
        test = data.scale(dataset.x_test[:500])
        indices, distances = metrics.nearest_images(np.concatenate([samples, test]), training)
        pairs = np.concatenate([samples[:10], training[indices[:10]]])
        run.write("explore/nearest.png", images.png(images.grid(pairs, columns=10)))
        return float(np.median(distances[:500])), float(np.median(distances[500:]))

    interpolate()
    distance, test_distance = find_nearest()
    classes = calculate()
    a, b, c = options.arithmetic
    print(f"{a} - {b} + {c}: the classifier sees {', '.join(map(str, classes))}")
    print(
        f"distance to the nearest training image, median: {distance:.3f} (root mean square of "
        f"pixels in [-1, 1]); of test images, which nobody can have learned: {test_distance:.3f}"
    )
    print(f"pictures: {run.path / 'explore'}")
    return {"arithmetic": classes, "distance": distance, "test_distance": test_distance}


if __name__ == "__main__":
    cli.run(main)
