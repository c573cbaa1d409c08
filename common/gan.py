"""What the GANs of most chapters have in common. Losses and `train_step` are theirs."""

from typing import ClassVar

import numpy as np
from keras import ops

from common.model import ChapterModel, normal_noise, predict


class BaseGAN(ChapterModel):
    """A generator and a discriminator, their two optimisers, and the noise.

    Args:
        generator: noise, n×latent_dim (and what else it takes), to images in [-1, 1].
        discriminator: images (and what else it takes) to logits.
        seed: with the iteration, sets all that is random in a training step.
    """

    METRICS: tuple[str, ...] = (
        "d_loss",
        "d_accuracy",
        "d_accuracy_real",
        "d_accuracy_fake",
        "g_loss",
    )
    PLOTS: ClassVar = {
        "loss": {"d_loss": "discriminator", "g_loss": "generator"},
        "discriminator's accuracy": {
            "d_accuracy": "all",
            "d_accuracy_real": "real",
            "d_accuracy_fake": "fake",
        },
    }

    def __init__(self, generator, discriminator, seed=0):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.latent_dim = generator.inputs[0].shape[-1]
        self.seed = seed

    def compile(self, d_optimizer, g_optimizer, **kwargs):
        super().compile(optimizer=None, **kwargs)
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        d_optimizer.build(self.discriminator.trainable_variables)
        g_optimizer.build(self.generator.trainable_variables)

    @property
    def iterations(self):
        """Training steps done so far: the generator is updated once in each."""
        return self.g_optimizer.iterations

    def noise(self, iteration, batch_size):
        """Noise for the two halves of an iteration, 2×batch_size×latent_dim, standard normal."""
        return normal_noise((2, batch_size, self.latent_dim), self.seed, iteration, axis=1)

    def fixed_noise(self, count: int) -> np.ndarray:
        """Noise for pictures and metrics, count×latent_dim: the same each time, new to training."""
        return normal_noise((count, self.latent_dim), self.seed, -1).numpy()

    def generate(self, count: int) -> np.ndarray:
        """Images of `fixed_noise`, n×height×width×channels in [-1, 1]."""
        return predict(self.generator, self.fixed_noise(count))


def accuracies(logits_real, logits_fake) -> dict:
    """The discriminator's accuracy, as `BaseGAN.METRICS` has it, from logits n×1 of "real".

    A logit above 0 is P(real) above 0.5.
    """
    real = ops.mean(ops.cast(logits_real > 0, "float32"))
    fake = ops.mean(ops.cast(logits_fake <= 0, "float32"))
    return {"d_accuracy": (real + fake) / 2, "d_accuracy_real": real, "d_accuracy_fake": fake}
