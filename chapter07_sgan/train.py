"""Trains the semi-supervised GAN of "GANs in Action" (chapter 7) on 100 labelled digits.

On two CPU cores:

    python chapter07_sgan/train.py                    99 % right, in 9 minutes
    python chapter07_sgan/train.py --preset book      the book's settings, Korean edition
    python chapter07_sgan/train.py --preset feature-matching    without pseudo-labels
    python chapter07_sgan/train.py --labeled 50       fewer labels
    python chapter07_sgan/train.py --resume           goes on with a stopped run

The same network, trained on the labelled images alone, is the baseline that it is compared with.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import UserError, cli
from common.settings import Count, Fraction, GANSettings
from common.training import TrainingRun


class Settings(GANSettings):
    """GANs in Action, section 7.3, Korean edition, whose SGAN is the better one."""

    batch_size: Count = 32
    """unlabelled images of one training step, and as many generated ones"""
    labeled: Count = 100
    """how many training images have labels: N/10 of each class with --balanced, or else the first
    N"""
    balanced: bool = False
    """draw the same number of labelled images from each class, at random by the seed"""
    labeled_batch_size: Count = 32
    """labelled images of one training step; all of them, where there are fewer"""
    networks: Literal["convolutional", "dense", "noisy-convolutional"] = "convolutional"
    """convolutional: the book's; dense: dense layers, with Gaussian noise in the discriminator
    (Salimans et al. 2016); noisy-convolutional: the dense generator, and a discriminator of two
    convolutions and three dense layers, with Gaussian noise"""
    synchronized_batch_norm: bool = True
    """on several devices, normalise by the statistics of the whole batch, as on one device; without
    it, each device normalises its part by itself, which is faster and needs larger batches"""
    discriminator_batch_norm: bool = False
    """batch normalisation in the convolutional discriminator: the English edition has it, the
    Korean not"""
    head: Literal["k", "k-plus-1"] = "k"
    """k: ten logits, from which P(real) is computed; k-plus-1: an eleventh logit for "fake" (Odena
    2016)"""
    feature_matching: bool = False
    """the generator matches the mean features that the discriminator finds in real images (Salimans
    et al. 2016), and the discriminator has one update an iteration; the book's has three"""
    adversarial_weight: NonNegativeFloat = 1.0
    """with --feature-matching: weight of the discriminator's losses on real and generated images;
    with 0 the discriminator learns nothing from the generator"""
    pseudo_labels: NonNegativeFloat = 0.0
    """with --feature-matching: weight of the loss on images without labels whose class a
    discriminator with averaged weights is sure of (Lee 2013; Tarvainen and Valpola 2017); it grows
    from 0 over the first 3,000 iterations, so that a shorter run never has all of it; 0: no such
    loss"""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """with --pseudo-labels: the probability above which the class that the averaged discriminator
    finds likeliest is an image's pseudo-label"""
    align_classes: bool = False
    """with --pseudo-labels: correct the averaged discriminator's probabilities, before
    --confidence, so that all classes have about the same share of them on average (distribution
    alignment, Berthelot et al. 2020); for classes that are equally frequent"""
    shift: Annotated[int, Field(ge=0, le=7)] = 0
    """move real images at random by up to so many pixels, 0 to 7"""
    rotation: Annotated[float, Field(ge=0, le=45)] = 0.0
    """rotate real images at random by up to so many degrees, either way"""
    zoom: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """divide the size of real images by a random factor, from 1 - X to 1 + X"""
    classifier_learning_rate: PositiveFloat = 3e-4  # the English edition has Adam's default
    """of the baseline's Adam, and without --feature-matching of the discriminator's Adam on
    labelled images"""
    discriminator_learning_rate: PositiveFloat = 1e-3  # Adam's default in Keras
    """of the discriminator's Adam on unlabelled and generated images; with --feature-matching, in
    all its updates"""
    generator_learning_rate: PositiveFloat = 1e-3
    """of the generator's Adam"""
    beta_1: Fraction = 0.9
    """momentum of the GAN's Adam optimisers"""
    learning_rate_decay: bool = False
    """lower the GAN's learning rates linearly to 0"""
    baseline_epochs: Count = 30
    """passes of the baseline over the labelled images"""

    def with_flags(self, typed):
        config = super().with_flags(typed)
        if not config.pseudo_labels:
            for name in ("confidence", "align_classes"):
                if typed.get(name):
                    raise UserError(f"--{name.replace('_', '-')} needs --pseudo-labels")
            config = config.replace(align_classes=False)  # a preset's, which has no part then
        return config

    def compiles(self, device):
        return super().compiles(device) and not self.augments  # which XLA cannot compile

    @property
    def augments(self) -> bool:
        """Whether real images are changed at random."""
        return bool(self.shift or self.rotation or self.zoom)

    def check_replicas(self, replicas):
        super().check_replicas(replicas)
        replicas.check({"--labeled-batch-size": min(self.labeled_batch_size, self.labeled)})

    @model_validator(mode="after")
    def _settings_fit_each_other(self) -> Self:
        if self.discriminator_batch_norm and self.networks != "convolutional":
            raise ValueError(
                f"--networks {self.networks} has no batch normalisation in the discriminator: "
                "leave out --discriminator-batch-norm or, with --preset smoke, give "
                "--no-discriminator-batch-norm"
            )
        if self.discriminator_batch_norm and self.feature_matching:
            raise ValueError(
                "--feature-matching needs a discriminator without batch normalisation: leave out "
                "--discriminator-batch-norm or, with --preset smoke, give "
                "--no-discriminator-batch-norm"
            )
        if self.pseudo_labels and not self.feature_matching:
            raise ValueError("--pseudo-labels needs --feature-matching: or give --pseudo-labels 0")
        if self.adversarial_weight != 1 and not self.feature_matching:
            raise ValueError(
                "--adversarial-weight needs --feature-matching: or give --adversarial-weight 1"
            )
        if self.xla and self.augments:
            raise ValueError(
                "--shift, --rotation and --zoom cannot be compiled with XLA: give 0 for them, or "
                "--no-xla"
            )
        return self


BOOK = Settings(iterations=8_000, sample_interval=800)
FEATURE_MATCHING = BOOK.replace(
    # What some of these do for the accuracy, measured, is in docs/semi_supervised.md.
    balanced=True,  # ten of each class
    networks="dense",
    feature_matching=True,
    shift=2,
    batch_size=100,
    labeled_batch_size=50,
    iterations=24_000,
    sample_interval=2_000,
    classifier_learning_rate=1e-3,  # the baseline's
    generator_learning_rate=4e-3,  # it has to keep up with a strong discriminator
    beta_1=0.5,
    learning_rate_decay=True,
    baseline_epochs=300,  # of two batches each
    precision="mixed_bfloat16",  # a tenth faster, on CPUs that compute in it
)
PRESETS = {
    "quick": FEATURE_MATCHING.replace(
        networks="noisy-convolutional",
        pseudo_labels=1.0,
        align_classes=True,  # without it, a class may take images of another for good
        rotation=12.0,
        zoom=0.1,
        iterations=12_000,
        sample_interval=1_000,
        precision="float32",  # bfloat16 is no faster here
    ),
    "feature-matching": FEATURE_MATCHING,
    "book": BOOK,
    "smoke": BOOK.replace(
        dataset="sample",  # needs no network
        discriminator_batch_norm=True,  # so that tests cover it
        iterations=4,
        batch_size=16,
        labeled_batch_size=16,
        sample_interval=2,
        baseline_epochs=2,
        fid_images=200,
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results. What `run` does is in common/training.py."""
    import numpy as np
    import tensorflow as tf

    from chapter07_sgan import comparison, networks, variants
    from chapter07_sgan.split import split_labeled
    from common import images, metrics
    from common.batch_norm import unfuse

    dataset = run.load_data()
    split = split_labeled(dataset, config)
    labeled_batch_size = min(config.labeled_batch_size, config.labeled)

    with run.scope():
        gan = variants.choose_model(config)(
            variants.choose_generator(config),
            variants.choose_discriminator(config),
            variants.choose_augmentation(config),
            classes=networks.CLASSES,
            seed=config.seed,
        )
        gan.compile(
            **variants.choose_optimizers(config),
            steps_per_execution=run.steps_per_execution(most=20),
            jit_compile=run.xla,
        )

    evaluator = metrics.Evaluator(dataset.name, dataset.x_test)

    def sample_images():
        return images.grid(gan.generate(25), columns=5)

    def evaluate():
        fid = {"fid": evaluator.fid(gan.generate(config.fid_images))} if config.fid else {}
        return comparison.classifier_accuracies(gan.discriminator, split, dataset) | fid

    run.begin(gan, dataset.describe())
    print(f"{len(split.labels)} with labels, {np.bincount(split.labels)} of each class")
    gan.fit(
        tf.data.Dataset.zip(
            run.batches(split.labeled_images, split.labels, batch_size=labeled_batch_size),
            run.batches(split.unlabeled_images),
        ),
        callbacks=run.callbacks(sample_images, evaluate),
        **run.fit_arguments,
    )

    baseline = comparison.train_baseline(config, split, labeled_batch_size)
    title = f"Chapter 7, SGAN, {config.dataset}, {config.labeled} labels"
    run.plot_history(gan.PLOTS, title)
    classifiers = {"SGAN": gan.discriminator, comparison.BASELINE: baseline}
    accuracies = comparison.compare(run, title, classifiers, split, dataset)
    run.save_models(
        generator=unfuse(gan.generator),
        discriminator=unfuse(gan.discriminator),
        baseline=unfuse(baseline),
    )
    return run.finish(accuracies | evaluator.report(gan.generate, config.fid_images))


main = cli.program("chapter07_sgan", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
