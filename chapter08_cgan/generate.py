"""Draws what one asks for with the generator of a finished run of chapter 8.

    python chapter08_cgan/generate.py --digits 20261121            a number, by the latest run
    python chapter08_cgan/generate.py 3 --digits 42 --seed 7       another hand, run number 3
    python chapter08_cgan/generate.py --class sneaker --count 20   clothes, of a Fashion-MNIST run

The picture goes into the run's folder, under generated/.
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from common import UserError, cli


def digits(text: str) -> str:
    """Digits 0 to 9, for argparse."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 100):
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 100 digits")
    return text


def hand(count: int, latent_dim: int, variation: float, seed: int) -> np.ndarray:
    """Latent points for writing in one hand, n×latent_dim.

    In a conditional GAN the label says what is drawn, and the noise how: slant, width, roundness.
    So all points are one point, and a little noise of their own, as nobody writes a digit the same
    way twice. Each is as normal as noise in training.

    Args:
        variation: from 0, all the same, to below 1; the share of a point's variance that is its
            own is the square of this.
    """
    random = np.random.default_rng(seed)
    common = random.normal(size=latent_dim)
    own = random.normal(size=(count, latent_dim))
    return (np.sqrt(1 - variation**2) * common + variation * own).astype(np.float32)


def build_parser() -> argparse.ArgumentParser:
    parser = cli.run_parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--digits", type=digits, metavar="NUMBER", help="write this number")
    what.add_argument(
        "--class", dest="class_name", metavar="NAME", help="draw this: a digit, or sneaker, bag, …"
    )
    parser.add_argument(
        "--count",
        type=cli.positive_int,
        metavar="N",
        help="how many pictures of the class (default: 10)",
    )
    parser.add_argument(
        "--variation",
        type=cli.fraction,
        metavar="X",
        help="how much the digits of a number differ in their hand, from 0 to below 1 "
        "(default: 0.4)",
    )
    parser.add_argument(
        "--seed", type=cli.seed_int, default=0, metavar="N", help="of the hand (default: 0)"
    )
    return parser


def main(argv: list[str] | None = None) -> Path:
    options = build_parser().parse_args(argv)
    if options.digits and options.count:
        raise UserError("--count belongs to --class; a number has as many digits as it has")
    if not options.digits and options.variation is not None:
        raise UserError("--variation belongs to --digits")
    variation = 0.4 if options.variation is None else options.variation
    count = options.count or 10
    from common import runs

    run = runs.find_trained("chapter08_cgan", options.run)

    from common import data, device, images

    names = data.class_names(run.config.dataset)
    if options.digits and not set(options.digits) <= set(names):
        raise UserError(f"{run.path} has learned no digits, but {', '.join(names)}; see --class")
    if not options.digits and options.class_name not in names:
        raise UserError(f"--class {options.class_name}: {run.path} has learned {', '.join(names)}")
    device.setup(options.seed)
    generator = run.load_model("generator.keras")
    latent_dim = generator.inputs[0].shape[-1]

    if options.digits:
        labels = np.array([int(digit) for digit in options.digits])
        noise = hand(len(labels), latent_dim, variation, options.seed)
        name = f"generated/{options.digits}-seed{options.seed}-variation{variation}.png"
    else:
        labels = np.full(count, names.index(options.class_name))
        noise = np.random.default_rng(options.seed).normal(size=(len(labels), latent_dim))
        name = f"generated/{options.class_name}-seed{options.seed}-{count}.png"
    pictures = generator.predict([noise.astype(np.float32), labels], batch_size=200, verbose=0)
    page = (
        images.grid(pictures, columns=len(pictures), gap=0)
        if options.digits
        else images.grid(pictures, columns=min(10, len(pictures)))
    )
    run.write(name, images.png(page))
    print(run.path / name)
    return run.path / name


if __name__ == "__main__":
    cli.run(main)
