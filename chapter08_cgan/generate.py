"""Generates images of chosen labels with the generator of a finished run of chapter 8.

    python chapter08_cgan/generate.py --digits 20261121            a number, by the latest run
    python chapter08_cgan/generate.py 3 --digits 42 --seed 7       other handwriting, run number 3
    python chapter08_cgan/generate.py --class sneaker --count 20   clothes, of a Fashion-MNIST run

The picture goes into the run's folder, under generated/.
"""

import sys
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter08_cgan import train
from common import UserError, cli, flags, runs
from common.flags import POSITIONAL
from common.settings import Fraction, Frozen, Seed


def check_digits(text: str) -> str:
    """Raises a ValueError, for pydantic, if a text is not a number of 1 to 100 digits."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 100):
        raise ValueError("should be 1 to 100 digits")
    return text


class Settings(Frozen):
    """Which run generates, and what."""

    run: Annotated[str, POSITIONAL] = "latest"
    """the run's folder or number"""
    digits: Annotated[str, AfterValidator(check_digits)] | None = None
    """write this number, 1 to 100 digits"""
    class_name: str | None = Field(None, alias="class")
    """draw images of this class: a digit, or t-shirt, trouser, …, ankle-boot"""
    count: Annotated[int, Field(gt=0, le=10_000)] = 10
    """how many images of the class"""
    variation: Fraction = 0.4
    """how much the handwriting differs from digit to digit of a number, from 0 to below 1"""
    seed: Seed = 0
    """of the noise: another seed is another handwriting"""

    @model_validator(mode="after")
    def _either_digits_or_class(self) -> Self:
        if self.digits is not None and self.class_name is not None:
            raise ValueError("--digits and --class exclude each other")
        if self.digits is None and self.class_name is None:
            raise ValueError("--digits or --class must be given")
        if self.digits is not None and "count" in self.model_fields_set:
            raise ValueError("--count belongs to --class; --digits has its own number of images")
        if self.digits is None and "variation" in self.model_fields_set:
            raise ValueError("--variation belongs to --digits")
        return self


def correlated_noise(count: int, latent_dim: int, variation: float, seed: int) -> np.ndarray:
    """Noise vectors for digits in the same handwriting, count×latent_dim, float32.

    The label says which digit is drawn, and the noise how: slant, width, roundness. So the vectors
    have a part in common, and each has a part of its own, as nobody writes a digit twice in exactly
    the same way. Each vector is standard normal, as in training.

    Args:
        variation: from 0, all vectors equal, to below 1. Its square is the share of the variance
            that each vector has for itself; the correlation of two vectors is 1 minus that.
    """
    random = np.random.default_rng(seed)
    common = random.normal(size=latent_dim)
    own = random.normal(size=(count, latent_dim))
    return (np.sqrt(1 - variation**2) * common + variation * own).astype(np.float32)


def main(argv: list[str] | None = None) -> Path:
    """Writes the picture that the flags ask for, and gives its path."""
    settings = flags.read(__doc__, Settings, argv)
    run = runs.find_trained("chapter08_cgan", train.Settings, settings.run)

    from common import data, images

    names = data.class_names(run.config.dataset)
    known = ", ".join(names)
    if settings.digits and not set(settings.digits) <= set(names):
        raise UserError(
            f"{run.path} has learned no digits, but {known}; ask for one of these with --class, or "
            "name a run of digits, by its number or folder, before --digits"
        )
    if not settings.digits and settings.class_name not in names:
        raise UserError(
            f"--class {settings.class_name}: {run.path} has learned {known}; name another run, by "
            "its number or folder, before --class"
        )
    cli.setup(settings.seed)
    latent_dim = run.config.latent_dim
    inputs = [(None, latent_dim), (None,)]  # noise and label
    generator = run.load_model("generator", inputs, [(None, 28, 28, 1)])

    if settings.digits:
        labels = np.array([int(digit) for digit in settings.digits])
        noise = correlated_noise(len(labels), latent_dim, settings.variation, settings.seed)
        name = f"{settings.digits}-seed{settings.seed}-variation{settings.variation}"
        columns, gap = len(labels), 0
    else:
        labels = np.full(settings.count, names.index(settings.class_name))
        noise = np.random.default_rng(settings.seed).normal(size=(len(labels), latent_dim))
        name = f"{settings.class_name}-seed{settings.seed}-{settings.count}"
        columns, gap = min(10, len(labels)), 2
    pictures = generator.predict([noise.astype(np.float32), labels], batch_size=200, verbose=0)
    file = f"generated/{name}.png"
    run.write(file, images.png(images.grid(pictures, columns, gap=gap)))
    print(run.path / file)
    return run.path / file


if __name__ == "__main__":
    cli.run(main)
