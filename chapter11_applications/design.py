"""Designs garments of a known kind in no known style (GANs in Action, section 11.2).

On two CPU cores:

    python chapter11_applications/design.py                            the bundled clothes
    python chapter11_applications/design.py --preset full              all of Fashion-MNIST, longer
    python chapter11_applications/design.py --creativity 3             more of it
    python chapter11_applications/design.py --variant creative         the one with it alone
    python chapter11_applications/design.py --resume                   goes on with a stopped run

The same GAN is trained twice, without and with the loss that asks for no known style, and what they
make from the same noise is compared: how new it is, how real, and whether it is of its kind.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from common.settings import Fraction, GANSettings
from common.training import TrainingRun

Variant = Literal["plain", "creative"]


class Settings(GANSettings):
    """GANs in Action, section 11.2; Sbai et al. 2018."""

    dataset: Literal["fashion_mnist", "fashion_sample"] = "fashion_sample"
    """clothes: all of Fashion-MNIST, or the bundled 8,000"""
    variant: Annotated[list[Variant], Field(min_length=1)]
    """without the creative loss, with it, or both, one after the other"""
    creativity: NonNegativeFloat = 0.3
    """weight of the creative loss in the variant that has it"""
    styles: Annotated[int, Field(ge=2, le=20)] = 6
    """how many styles the training images are clustered into"""
    width: Annotated[int, Field(ge=8, le=1024, multiple_of=8)] = 128
    """channels of the generator where its images are smallest; the discriminator has half as many
    there"""
    generator_learning_rate: PositiveFloat = 5e-3
    """of the generator's Adam, which falls to 0, as the discriminator's does"""
    discriminator_learning_rate: PositiveFloat = 2e-3
    """of the discriminator's Adam"""
    beta_1: Fraction = 0.0
    """momentum of both Adam optimisers"""
    r1: NonNegativeFloat = 1.0
    """weight of R1, half the squared gradient of the discriminator's logit at real images"""
    synchronized_batch_norm: bool = True
    """on several devices, normalise by the statistics of the whole batch, as on one device; without
    it, each device normalises its part by itself, which is faster and needs larger batches"""
    novelty_images: Annotated[int, Field(ge=30, le=2_000)] = 1_000
    """garments whose distance to the training images is measured, and as many test images"""

    @model_validator(mode="after")
    def _variants_differ(self) -> Self:
        if len(set(self.variant)) < len(self.variant):
            raise ValueError("--variant names one twice")
        return self


QUICK = Settings(
    variant=["plain", "creative"],
    iterations=3_000,
    sample_interval=500,
    batch_size=64,
    precision="mixed_bfloat16",  # faster on hardware with instructions for it; see the README
)
PRESETS = {
    "quick": QUICK,
    "full": QUICK.replace(dataset="fashion_mnist", iterations=20_000, sample_interval=2_000),
    "smoke": QUICK.replace(
        iterations=4,
        sample_interval=2,
        batch_size=16,
        width=16,
        fid_images=200,
        novelty_images=60,
        precision="float32",
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → styles → a GAN without, and one with the creative loss → results."""
    from chapter11_applications import novelty, side_by_side, styles
    from common import data, stream

    name = run.data_name(config.data_dir)
    dataset = data.load(name, config.data_dir, config.validation_images)
    stream.check_batch_size(config.batch_size, dataset.x_train)
    found = styles.find(dataset.x_train, dataset.y_train, config.styles)
    measurement = novelty.Measurement(dataset, found, config.novelty_images)
    if len(config.variant) == 1:
        return train_variant(config, run, measurement)
    return side_by_side.compare(config, run, measurement, train_variant)


def train_variant(config: Settings, run: TrainingRun, measurement) -> dict:
    """Networks → model → fit → results, of one variant. `run`: see common/training.py."""
    import keras
    import numpy as np

    from chapter11_applications import creative, design_figures, networks
    from common import images
    from common.batch_norm import fuse, unfuse
    from common.optimizers import adam

    dataset, styles = measurement.dataset, measurement.styles
    run.schedule(*config.schedule(len(dataset.x_train)))
    kinds = int(dataset.y_train.max()) + 1
    shape = dataset.x_train.shape[1:]

    keras.utils.set_random_seed(config.seed)  # each variant begins with the same networks
    with run.scope():
        generator = networks.build_generator(shape, kinds, config.latent_dim, config.width)
        gan = creative.CreativeGAN(
            fuse(generator, config.synchronized_batch_norm),
            networks.build_naming_discriminator(shape, kinds, config.styles, config.width // 2),
            creativity=config.creativity if config.variant == ["creative"] else 0.0,
            r1=config.r1,
            seed=config.seed,
        )
        gan.compile(
            d_optimizer=adam(config.discriminator_learning_rate, config.beta_1, run.iterations),
            g_optimizer=adam(config.generator_learning_rate, config.beta_1, run.iterations),
            steps_per_execution=run.steps_per_execution(most=10),
            jit_compile=run.xla,
        )

    def sample_images():
        """A row for each kind; the same noise down a column."""
        noise = np.tile(gan.fixed_noise(8), (kinds, 1))
        asked = np.repeat(np.arange(kinds, dtype=np.int32), 8)
        return images.grid(gan.generate(noise, asked), columns=8)

    def evaluate():
        found = measurement.realism(gan, config.fid_images) if config.fid else {}
        return {name: found[name] for name in ("fid", "label_accuracy") if found}

    run.begin(gan, dataset.describe())
    run.write("styles.png", design_figures.styles(styles, dataset))
    of_styles = styles.labels(dataset.x_train, dataset.y_train)
    labels = np.stack([dataset.y_train, of_styles], axis=1)
    gan.fit(
        run.batches(dataset.x_train, labels),
        callbacks=run.callbacks(sample_images, evaluate),
        **run.fit_arguments,
    )

    run.plot_history(gan.PLOTS, f"Chapter 11, design, {config.variant[0]}, {config.dataset}")
    run.save_models(generator=unfuse(gan.generator), discriminator=gan.discriminator)
    return run.finish(measurement.report(gan, config.fid_images))


main = cli.program("chapter11_applications/design", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
