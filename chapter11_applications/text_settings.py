"""The settings of text_to_image.py and their presets. Imports no TensorFlow."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from common import settings
from common.settings import Count, Fraction, Width

PROGRAM = "chapter11_applications/text_to_image"


class Settings(settings.Settings):
    """StackGAN on digits; what the paper has is said where it differs."""

    dataset: Literal["mnist", "sample"] = "mnist"
    """whose digits the images are composed of; sample is the first 4,000 training images"""
    digits: Count = 20_000
    """training images, and test images, to choose clearly written digits from"""
    images: Count = 40_000
    """captions with an image each for training"""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """images of one training step, two at least: each is also shown with another's caption"""
    first_iterations: Count = 1_500
    """training steps of stage I, whose images are of 16×16"""
    second_iterations: Count = 3_500
    """training steps of stage II, whose images are of 32×32"""
    sample_interval: Count = 500
    """iterations from one picture, line of history and checkpoint to the next; must divide both"""
    latent_dim: Width = 16
    """size of the noise vector z"""
    condition_dim: Width = 64
    """size of the condition that is drawn from a caption; the paper has 128"""
    generator_learning_rate: PositiveFloat = 3e-3
    """of the Adam of text encoder and generator; falls linearly to 0 over each stage"""
    discriminator_learning_rate: PositiveFloat = 2e-3
    """of the discriminator's Adam; falls linearly to 0 over each stage"""
    beta_1: Fraction = 0.0
    """momentum of both Adam optimisers; the authors' code has 0.5"""
    r1: NonNegativeFloat = 1.0
    """weight of R1, half the squared gradient at real images; the paper has no penalty"""
    facts_weight: NonNegativeFloat = 1.0
    """weight of the auxiliary classifier of what images show; 0 is the paper's form"""
    kl_weight: NonNegativeFloat = 0.1
    """weight of the KL of conditioning augmentation; the authors' code has 2"""
    reader_epochs: Count = 3
    """passes over the redrawn digits of the classifier that measures"""
    measured: Annotated[int, Field(gt=1, le=100_000)] = 2_000
    """captions of each kind to measure at the end: seen combinations of digits, and unseen ones"""

    @model_validator(mode="after")
    def _intervals_fill_the_stages(self) -> Self:
        for name in ("first_iterations", "second_iterations"):
            if getattr(self, name) % self.sample_interval:
                flag = name.replace("_", "-")
                raise ValueError(
                    f"--{flag} {getattr(self, name)} is not a multiple of --sample-interval "
                    f"{self.sample_interval}; change one of the two"
                )
        return self

    def schedule(self, images: int) -> tuple[int, int]:
        """Iterations of the run, and of a sample interval, whatever the number of images."""
        return self.first_iterations + self.second_iterations, self.sample_interval

    def advice(self, images: int) -> None:
        """Images are composed, as many as are asked for."""


QUICK = Settings(precision="mixed_bfloat16")  # faster on CPUs with instructions for it
PRESETS = {
    "quick": QUICK,
    "long": QUICK.replace(
        digits=60_000,
        images=100_000,
        first_iterations=12_000,
        second_iterations=12_000,
        sample_interval=1_000,
        reader_epochs=8,
    ),
    "smoke": Settings(
        dataset="sample",
        digits=400,
        images=200,
        batch_size=8,
        first_iterations=4,
        second_iterations=4,
        sample_interval=2,
        reader_epochs=1,
        measured=50,
    ),
}
