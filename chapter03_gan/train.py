"""Trains the first GAN of "GANs in Action" (chapter 3) on handwritten digits.

On two CPU cores:

    python chapter03_gan/train.py                            digits, 2 minutes
    python chapter03_gan/train.py --preset book              the book's settings, 50 seconds
    python chapter03_gan/train.py --dataset fashion_mnist    clothes
    python chapter03_gan/train.py --resume                   goes on with a stopped run
"""

import sys
from pathlib import Path

from pydantic import PositiveFloat

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from common.settings import Fraction, GANSettings, Width
from common.training import TrainingRun


class Settings(GANSettings):
    """GANs in Action, section 3.4; iterations, batch size and data: common/settings.py."""

    learning_rate: PositiveFloat = 1e-3  # Adam's defaults in Keras
    """of both Adam optimisers"""
    beta_1: Fraction = 0.9
    """momentum of both Adam optimisers"""
    units: Width = 128
    """of each network's hidden layer"""
    average: Fraction = 0.0
    """decay of the moving average (EMA) of the generator's weights, for each iteration; the average
    makes the pictures and is what the run keeps; 0: no average, the weights themselves do"""
    xla: bool = True
    """compile the training loop with XLA; --no-xla if your machine has trouble with it"""


BOOK = Settings(iterations=20_000, batch_size=128, sample_interval=1_000)
PRESETS = {
    "quick": BOOK.replace(
        # What these do for the pictures, measured, is in the chapter's README.
        beta_1=0.0,
        units=256,
        average=0.999,
        iterations=24_000,
        sample_interval=1_500,
    ),
    "book": BOOK,
    "smoke": BOOK.replace(
        dataset="sample",
        iterations=20,
        batch_size=16,
        sample_interval=10,
        average=0.5,
        fid_images=1_000,
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results. What `run` does is in common/training.py."""
    from keras.optimizers import Adam

    from common import images, metrics

    dataset = run.load_data()

    with run.scope():
        gan = build_gan(config)
        gan.compile(
            d_optimizer=Adam(config.learning_rate, config.beta_1),
            g_optimizer=Adam(config.learning_rate, config.beta_1),
            steps_per_execution=run.steps_per_execution(),
            jit_compile=run.xla,
        )

    evaluator = metrics.Evaluator(dataset.name, dataset.x_test)

    def sample_images():
        return images.grid(gan.generate(16), columns=4)

    def evaluate():
        return {"fid": evaluator.fid(gan.generate(config.fid_images))} if config.fid else {}

    run.begin(gan, dataset.describe())
    gan.fit(
        run.batches(dataset.x_train),
        callbacks=run.callbacks(sample_images, evaluate),
        **run.fit_arguments,
    )

    run.plot_history(gan.PLOTS, f"Chapter 3, GAN, {config.dataset}")
    generator = gan.averaged if config.average else gan.generator
    run.save_models(generator=generator, discriminator=gan.discriminator)
    return run.finish(evaluator.report(gan.generate, config.fid_images))


def build_gan(config):
    """The book's GAN, or the one that averages its generator's weights."""
    from chapter03_gan.averaging import AveragedGAN
    from chapter03_gan.gan import GAN
    from chapter03_gan.networks import build_discriminator, build_generator

    generator = build_generator(config.latent_dim, units=config.units)
    discriminator = build_discriminator(units=config.units)
    if not config.average:
        return GAN(generator, discriminator, config.seed)
    return AveragedGAN(generator, discriminator, config.average, config.seed)


main = cli.program("chapter03_gan", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
