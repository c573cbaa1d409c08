"""Trains a small SAGAN with self-attention and without, on images whose two ends must agree.

On two CPU cores:

    python chapter12_looking_ahead/attention.py                      pairs of digits
    python chapter12_looking_ahead/attention.py --task images        plain digits, by FID
    python chapter12_looking_ahead/attention.py --network attention  one of the two networks
    python chapter12_looking_ahead/attention.py --resume             goes on with a stopped run

The network without attention gets --plain-factor times as many iterations: in `quick` so many that
both take about the same seconds on a CPU.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from common.settings import Fraction, GANSettings
from common.training import TrainingRun


class Settings(GANSettings):
    """SAGAN, Zhang et al. 2019; the rest: common/settings.py."""

    task: Literal["pairs", "images"] = "pairs"
    """two copies of a digit, far apart, on one image; or the data set's images as they are"""
    network: Annotated[list[Literal["attention", "plain"]], Field(min_length=1)]
    """which networks to train: generator and discriminator with attention, or neither (plain)"""
    plain_factor: Annotated[float, Field(ge=1, le=10)] = 1.0
    """how many times as many iterations the network without attention gets, rounded to whole sample
    intervals: a measured ratio of seconds lets both train for about as long (with the clock's own,
    no run could be repeated)"""
    generator_learning_rate: PositiveFloat = 1e-4
    """of the generator's Adam optimiser"""
    discriminator_learning_rate: PositiveFloat = 4e-4
    """of the discriminator's Adam optimiser"""
    beta_1: Fraction = 0.0
    """momentum of both Adam optimisers"""
    beta_2: Fraction = 0.9
    """of the means of squared gradients, of both"""

    @model_validator(mode="after")
    def _networks_are_named_once(self) -> Self:
        if len(set(self.network)) < len(self.network):
            raise ValueError("--network names a network twice")
        return self

    def schedule(self, images: int) -> tuple[int, int]:
        """Of one network: more iterations for the one without attention, in whole intervals."""
        intervals = self.iterations // self.sample_interval
        if self.network == ["plain"]:
            intervals = round(intervals * self.plain_factor)
        return intervals * self.sample_interval, self.sample_interval


PAPER = Settings(
    network=["attention", "plain"],
    iterations=1_000_000,
    batch_size=256,
    sample_interval=10_000,
    latent_dim=128,
)
PRESETS = {
    "quick": PAPER.replace(
        # The paper's ratio at ten times the rates: there are 300 times fewer iterations.
        generator_learning_rate=1e-3,
        discriminator_learning_rate=4e-3,
        batch_size=64,
        latent_dim=64,
        precision="mixed_bfloat16",  # faster on hardware with instructions for it
        iterations=3_000,
        sample_interval=250,
        plain_factor=1.5,  # measured on a CPU
        fid=True,
        fid_images=2_000,
    ),
    "paper": PAPER,
    "smoke": PAPER.replace(
        dataset="sample",
        iterations=2,
        sample_interval=1,
        plain_factor=1.5,
        batch_size=8,
        latent_dim=8,
        fid=True,
        fid_images=65,
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results, with attention and without it."""
    from chapter12_looking_ahead import attention_figures
    from chapter12_looking_ahead.measurement import Measurement
    from chapter12_looking_ahead.pairs import make_pairs
    from common import data, parts, stream

    name = run.data_name(config.data_dir)
    dataset = data.load(name, config.data_dir, config.validation_images)
    images = make_pairs(dataset.x_train) if config.task == "pairs" else dataset.x_train
    stream.check_batch_size(config.batch_size, images)
    run.print_advice(len(images))
    measurement = Measurement(dataset, config.task)

    def train_one(settings, part):
        return train_network(settings, part, dataset.describe(), images, measurement)

    if len(config.network) == 1:
        return train_one(config, run)
    each = {str(name): config.replace(network=[name]) for name in config.network}
    found = parts.train_parts(run, dataset.describe(), each, train_one)
    return attention_figures.compare(run, found)


def train_network(
    config: Settings, run: TrainingRun, described: dict, training_images, measurement
) -> dict:
    """Trains one of the two networks.

    Args:
        run: see common/training.py.
        described: what config.json says of the data.
        training_images: uint8, n×height×width×1.
        measurement: a `Measurement` of such images.
    """
    import keras

    from chapter12_looking_ahead import attention_figures
    from chapter12_looking_ahead.networks import build_discriminator, build_generator, export
    from chapter12_looking_ahead.sagan import SAGAN
    from common import images
    from common.batch_norm import fuse, unfuse

    run.schedule(*config.schedule(len(training_images)))
    attention = config.network == ["attention"]
    shape = training_images.shape[1:]

    keras.utils.set_random_seed(config.seed)
    with run.scope():
        gan = SAGAN(
            fuse(build_generator(config.latent_dim, shape, attention)),
            build_discriminator(shape, attention),
            config.seed,
        )
        betas = config.beta_1, config.beta_2
        gan.compile(
            d_optimizer=keras.optimizers.Adam(config.discriminator_learning_rate, *betas),
            g_optimizer=keras.optimizers.Adam(config.generator_learning_rate, *betas),
            steps_per_execution=run.steps_per_execution(most=10),
            jit_compile=run.xla,
        )

    def sample_images():
        return images.grid(gan.generate(16), columns=4 if config.task == "images" else 2)

    def evaluate():
        return measurement.of(gan.generate(config.fid_images)) if config.fid else {}

    run.begin(gan, described)
    gan.fit(
        run.batches(training_images),
        callbacks=run.callbacks(sample_images, evaluate),
        **run.fit_arguments,
    )

    run.plot_history(SAGAN.PLOTS, f"Chapter 12, {config.network[0]}, {config.dataset}")
    if attention:
        run.write("attention.png", attention_figures.maps(gan))
    generator = export(unfuse(gan.generator))
    run.save_models(generator=generator, discriminator=export(gan.discriminator))
    return run.finish(measurement.of(gan.generate(config.fid_images)))


main = cli.program("chapter12_looking_ahead/attention", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
