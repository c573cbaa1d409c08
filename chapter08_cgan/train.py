"""Trains the conditional GAN of "GANs in Action" (chapter 8): digits by request.

On two CPU cores:

    python chapter08_cgan/train.py                            digits, 4 minutes
    python chapter08_cgan/train.py --precision float32        digits, without bfloat16, 6½
    python chapter08_cgan/train.py --preset book              the book's settings, 11 minutes
    python chapter08_cgan/train.py --dataset fashion_mnist    clothes
    python chapter08_cgan/train.py --model acgan              the auxiliary classifier GAN
    python chapter08_cgan/train.py --resume                   goes on with a stopped run

Then generate.py writes numbers, or draws clothes, with what was trained.
"""

import sys
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from common.settings import Fraction, GANSettings
from common.training import TrainingRun


class Settings(GANSettings):
    """GANs in Action, section 8.3, English edition; the rest: common/settings.py."""

    model: Literal["cgan", "acgan"] = "cgan"
    """the book's, or the auxiliary classifier GAN (Odena et al. 2017), whose discriminator is not
    given the label but predicts it"""
    condition: Literal["embedding", "one-hot"] = "embedding"
    """how the networks are given the label: as a learned embedding, as in the book, or one-hot
    (Mirza & Osindero 2014); ACGAN's discriminator is given none"""
    generator_learning_rate: PositiveFloat = 1e-3  # Adam's defaults in Keras
    """of the generator's Adam optimiser"""
    discriminator_learning_rate: PositiveFloat = 1e-3  # the Korean edition has 1e-5
    """of the discriminator's Adam optimiser"""
    beta_1: Fraction = 0.9
    """momentum of both Adam optimisers"""
    learning_rate_decay: bool = False
    """lower both learning rates linearly to 0"""
    r1: NonNegativeFloat = 0.0
    """weight of R1, half the squared gradient of the discriminator's logit at real images; with
    batch normalisation, of the sum of a batch's logits, as each depends on all of its images"""
    shared_fakes: bool = False
    """train both networks on the same generated images, which is faster; the book makes new ones
    for the generator"""
    slope: Fraction = 0.01
    """slope of LeakyReLU below 0"""
    synchronized_batch_norm: bool = True
    """on several devices, normalise by the statistics of the whole batch, as on one device; without
    it, each device normalises its part by itself, which is faster and needs larger batches"""
    discriminator_batch_norm: bool = True
    """batch normalisation in the discriminator: the English edition has it, the Korean not"""


BOOK = Settings(iterations=12_000, batch_size=32, sample_interval=1_000)  # Korean edition: 20,000
PRESETS = {
    "quick": BOOK.replace(
        # What this does, measured, is in the chapter's README; what the others do, in chapter 4's.
        condition="one-hot",
        generator_learning_rate=5e-3,
        discriminator_learning_rate=2e-3,
        learning_rate_decay=True,
        beta_1=0.0,  # no momentum
        discriminator_batch_norm=False,  # as in the Korean edition
        r1=1.0,
        shared_fakes=True,
        batch_size=64,
        precision="mixed_bfloat16",
        iterations=4_000,
        sample_interval=500,
    ),
    "book": BOOK,
    "smoke": BOOK.replace(
        dataset="sample", iterations=4, batch_size=16, sample_interval=2, fid_images=200
    ),
}


def build_gan(config):
    """The networks and the model that the settings name: the book's CGAN, if no variant is set."""
    from chapter08_cgan import networks
    from chapter08_cgan.acgan import ACGAN
    from chapter08_cgan.cgan import CGAN
    from chapter08_cgan.variants import RegularizedCGAN
    from common.batch_norm import fuse

    generator = networks.build_generator(config.latent_dim, config.condition, config.slope)
    batch_norm, slope = config.discriminator_batch_norm, config.slope
    if config.model == "acgan":
        discriminator = networks.build_acgan_discriminator(batch_norm, slope)
    else:
        discriminator = networks.build_discriminator(config.condition, batch_norm, slope)
    # The same networks with a faster kernel for batch normalisation; `unfuse` is the way back.
    generator = fuse(generator, config.synchronized_batch_norm)
    discriminator = fuse(discriminator, config.synchronized_batch_norm)
    if config.model == "cgan" and not (config.r1 or config.shared_fakes):
        return CGAN(generator, discriminator, networks.CLASSES, config.seed)
    kind = ACGAN if config.model == "acgan" else RegularizedCGAN
    return kind(
        generator,
        discriminator,
        networks.CLASSES,
        config.r1,
        config.shared_fakes,
        config.seed,
    )


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results. What `run` does is in common/training.py."""
    import numpy as np

    from common import images, metrics
    from common.batch_norm import unfuse
    from common.optimizers import adam

    dataset = run.load_data()

    with run.scope():
        gan = build_gan(config)

        beta_1, decay = config.beta_1, config.learning_rate_decay
        d_updates = 2 * run.iterations  # on real and on generated images
        gan.compile(
            d_optimizer=adam(config.discriminator_learning_rate, beta_1, d_updates, decay),
            g_optimizer=adam(config.generator_learning_rate, beta_1, run.iterations, decay),
            steps_per_execution=run.steps_per_execution(most=10),
            jit_compile=run.xla,
        )

    evaluator = metrics.Evaluator(dataset.name, dataset.x_test)
    # Labels of the images that are measured: each class about as often as in the training images.
    labels = np.resize(dataset.y_train, config.fid_images)

    def sample_images():
        """A row for each class; the same noise down a column."""
        noise = np.tile(gan.fixed_noise(5), (gan.classes, 1))
        return images.grid(gan.generate(noise, np.repeat(np.arange(gan.classes), 5)), columns=5)

    def generate(count):
        return gan.generate(gan.fixed_noise(count), labels[:count])

    def evaluate():
        if not config.fid:
            return {}
        features, probabilities = evaluator.classifier(generate(config.fid_images))
        return {
            "fid": metrics.frechet_distance(evaluator.real_features, features),
            "label_accuracy": metrics.label_accuracy(probabilities, labels),
        }

    run.begin(gan, dataset.describe())
    gan.fit(
        run.batches(dataset.x_train, dataset.y_train),
        callbacks=run.callbacks(sample_images, evaluate),
        **run.fit_arguments,
    )

    run.plot_history(gan.PLOTS, f"Chapter 8, {config.model.upper()}, {config.dataset}")
    run.save_models(generator=unfuse(gan.generator), discriminator=unfuse(gan.discriminator))
    return run.finish(evaluator.report(generate, config.fid_images, labels))


main = cli.program("chapter08_cgan", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
