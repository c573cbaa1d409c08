"""Trains the DCGAN of "GANs in Action" (chapter 4) on handwritten digits.

On two CPU cores:

    python chapter04_dcgan/train.py                            digits, 4½ minutes
    python chapter04_dcgan/train.py --precision float32        digits, without bfloat16, 7½
    python chapter04_dcgan/train.py --preset book              the book's settings, 55 minutes
    python chapter04_dcgan/train.py --dataset fashion_mnist    clothes
    python chapter04_dcgan/train.py --resume                   goes on with a stopped run
"""

import sys
from pathlib import Path

from pydantic import NonNegativeFloat, PositiveFloat

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from common.settings import Fraction, GANSettings
from common.training import TrainingRun


class Settings(GANSettings):
    """GANs in Action, section 4.4, English edition; what chapters share: common/settings.py."""

    generator_learning_rate: PositiveFloat = 1e-3  # Adam's defaults in Keras
    """of the generator's Adam optimiser"""
    discriminator_learning_rate: PositiveFloat = 1e-3
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
    """slope of LeakyReLU below 0, the book's alpha"""
    synchronized_batch_norm: bool = True
    """on several devices, normalise by the statistics of the whole batch, as on one device; without
    it, each device normalises its part by itself, which is faster and needs larger batches"""
    discriminator_batch_norm: bool = True
    """batch normalisation in the discriminator: the English edition has it, the Korean not"""


BOOK = Settings(iterations=20_000, batch_size=128, sample_interval=1_000)
PRESETS = {
    "quick": BOOK.replace(
        # What each of these does for the FID, measured, is in the chapter's README.
        generator_learning_rate=5e-3,
        discriminator_learning_rate=2e-3,
        learning_rate_decay=True,
        beta_1=0.0,  # no momentum
        discriminator_batch_norm=False,  # as in the Korean edition
        r1=1.0,  # keeps the discriminator from growing too strong
        shared_fakes=True,  # the generator makes one batch of images an iteration, not two
        batch_size=64,  # half the book's: about twice as many iterations in the same time
        precision="mixed_bfloat16",  # faster on hardware with instructions for it; see the README
        iterations=6_000,
        sample_interval=500,
    ),
    "book": BOOK,
    "smoke": BOOK.replace(
        dataset="sample", iterations=4, batch_size=16, sample_interval=2, fid_images=200
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results. What `run` does is in common/training.py."""
    from chapter04_dcgan.dcgan import DCGAN
    from chapter04_dcgan.networks import build_discriminator, build_generator
    from chapter04_dcgan.variants import RegularizedDCGAN
    from common import images, metrics
    from common.batch_norm import fuse, unfuse
    from common.optimizers import adam

    dataset = run.load_data()

    with run.scope():
        synchronized = config.synchronized_batch_norm
        # The same networks with a faster kernel for batch normalisation; `unfuse` is the way back.
        generator = fuse(build_generator(config.latent_dim, slope=config.slope), synchronized)
        discriminator = fuse(
            build_discriminator(config.discriminator_batch_norm, slope=config.slope), synchronized
        )
        if config.r1 or config.shared_fakes:
            gan = RegularizedDCGAN(
                generator, discriminator, config.r1, config.shared_fakes, config.seed
            )
        else:
            gan = DCGAN(generator, discriminator, config.seed)

        beta_1, decay = config.beta_1, config.learning_rate_decay
        d_updates = 2 * run.iterations  # on real and on generated images
        gan.compile(
            d_optimizer=adam(config.discriminator_learning_rate, beta_1, d_updates, decay),
            g_optimizer=adam(config.generator_learning_rate, beta_1, run.iterations, decay),
            steps_per_execution=run.steps_per_execution(most=10),
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

    run.plot_history(DCGAN.PLOTS, f"Chapter 4, DCGAN, {config.dataset}")
    run.save_models(generator=unfuse(generator), discriminator=unfuse(discriminator))
    return run.finish(evaluator.report(gan.generate, config.fid_images))


main = cli.program("chapter04_dcgan", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
