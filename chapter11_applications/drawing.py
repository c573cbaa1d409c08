"""Draws a caption with what text_to_image.py has trained.

    python chapter11_applications/text_to_image.py --caption "an eight above a bold two"
    python chapter11_applications/text_to_image.py --caption "…" --count 4 --seed 7 3    run 3

The picture goes into the run's folder, under generated/: stage I above, stage II below.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from chapter11_applications import captions, text_settings
from common import cli, flags, runs
from common.flags import POSITIONAL
from common.settings import Frozen, Seed


class Settings(Frozen):
    """Which run draws, and what."""

    run: Annotated[str, POSITIONAL] = "latest"
    """the run's folder or number"""
    caption: str
    """what to draw: a [small|large] [thin|bold] DIGIT left of|right of|above|below a [small|large]
    [thin|bold] DIGIT, with DIGIT from zero to nine"""
    count: Annotated[int, Field(gt=0, le=1000)] = 8
    """how many images"""
    seed: Seed = 0
    """of the noise"""


def load_networks(run: runs.Run) -> tuple[list, list, Any]:
    """Encoders and generators of both stages, and the classifier that reads digits.

    Raises:
        UserError: one cannot be read, or has other shapes than the run's settings say.
    """
    from chapter11_applications.composition import PATCH

    noise, condition = (None, run.config.latent_dim), (None, run.config.condition_dim)
    encoded = (None, 2 * run.config.condition_dim)
    small, large = (None, 16, 16, 1), (None, 32, 32, 1)
    encoders = [run.load_model(f"text_encoder_{i}", [(None, 7)], [encoded]) for i in (1, 2)]
    generators = [
        run.load_model("generator_1", [noise, condition], [small]),
        run.load_model("generator_2", [small, condition], [large]),
    ]
    classifier = run.load_model("digit_classifier", [(None, PATCH, PATCH, 1)], [(None, 10)])
    return encoders, generators, classifier


def main(argv: list[str] | None = None) -> Path:
    """Draws, writes the picture and says what is right in it. Gives the picture's path."""
    settings = flags.read(__doc__, Settings, argv)
    words = captions.parse(settings.caption)
    run = runs.find_trained(text_settings.PROGRAM, text_settings.Settings, settings.run)
    cli.setup(settings.seed)

    from chapter11_applications import reading, stackgan
    from common import images

    encoders, generators, classifier = load_networks(run)
    random = np.random.default_rng(settings.seed)
    size = (settings.count, run.config.latent_dim + 2 * run.config.condition_dim)
    noise = random.normal(size=size).astype(np.float32)
    asked = np.repeat(words[None], settings.count, axis=0)
    small, large = stackgan.generate(encoders, generators, asked, noise)

    facts = captions.facts_of(asked)
    shares = reading.shares_right(reading.read(large, classifier), facts)
    name = captions.text_of(words).replace(" ", "-")
    path = f"generated/{name}-seed{settings.seed}-{settings.count}.png"
    rows = [small.repeat(2, axis=1).repeat(2, axis=2), large]
    columns = min(8, settings.count)
    page = np.concatenate([images.grid(row, columns) for row in rows])
    run.write(path, images.png(page))
    if captions.held_out(facts)[0]:
        print("these digits were never so combined in training")
    print(f"all that the caption says is in {shares['all']:.0%} of the {settings.count} images")
    print(run.path / path)
    return run.path / path
