"""Draws a caption with what text_to_image.py has trained.

    python chapter11_applications/text_to_image.py --caption "an eight above a bold two"
    python chapter11_applications/text_to_image.py --caption "…" --count 4 --seed 7 3    run 3

The picture goes into the run's folder, under generated/: stage I above, stage II below.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from chapter11_applications import captions, text_settings
from common import cli, runs
from common.cli import POSITIONAL
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


def main(argv: list[str] | None = None) -> Path:
    settings = cli.read(__doc__, Settings, argv)
    words = captions.parse(settings.caption)
    run = runs.find_trained(text_settings.PROGRAM, text_settings.Settings, settings.run)
    cli.setup(settings.seed)

    from chapter11_applications import reading, stackgan
    from chapter11_applications.composition import PATCH
    from common import images

    config = run.config
    noise, condition = (None, config.latent_dim), (None, config.condition_dim)
    encoded = (None, 2 * config.condition_dim)
    encoders = [run.load_model(f"text_encoder_{i}", [(None, 7)], [encoded]) for i in (1, 2)]
    sizes: list[tuple[int | None, ...]] = [(None, 16, 16, 1), (None, 32, 32, 1)]
    generators = [
        run.load_model("generator_1", [noise, condition], [sizes[0]]),
        run.load_model("generator_2", [sizes[0], condition], [sizes[1]]),
    ]
    classifier = run.load_model("digit_classifier", [(None, PATCH, PATCH, 1)], [(None, 10)])

    random = np.random.default_rng(settings.seed)
    size = (settings.count, config.latent_dim + 2 * config.condition_dim)
    drawn = random.normal(size=size).astype(np.float32)
    asked = np.repeat(words[None], settings.count, axis=0)
    small, large = stackgan.generate(encoders, generators, asked, drawn)

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
