"""The models that are attacked: a GAN (chapter 4's game) and a VAE (chapter 2's).

Each has, beside its training step, `generate`, for an attacker who has generated images alone, and
`membership_scores`, for one who has its networks.
"""

from typing import ClassVar

import numpy as np
import tensorflow as tf
from keras import ops

from common.distribution import minimize
from common.gan import BaseGAN, accuracies
from common.model import ChapterModel, normal_noise, predict

DRAWS = 10  # of an image's code, for the VAE's bound


def loss_real(logits):
    """Mean of -log P(real), a scalar; from logits, n×1. Small where they say "real"."""
    return ops.mean(ops.softplus(-logits))


def loss_fake(logits):
    """Mean of -log(1 - P(real)), a scalar; from logits, n×1. Small where they say "fake"."""
    return ops.mean(ops.softplus(logits))


class GAN(BaseGAN):
    """Trains a generator and a discriminator in the non-saturating game.

    Args:
        generator: noise, n×latent_dim, to images in [-1, 1].
        discriminator: images to logits, n×1.
        seed: with the iteration, sets the noise of each training step.
    """

    PLOTS: ClassVar = {**BaseGAN.PLOTS, "membership": {"auc": "AUC of the discriminator's logit"}}
    SCORE = "discriminator's logit"  # what `membership_scores` gives
    VALUE_RANGE = (-1.0, 1.0)  # of the images that it trains on

    def train_step(self, real_images):
        shape = (tf.shape(real_images)[0], self.latent_dim)
        noise = normal_noise(shape, self.seed, self.iterations)

        with tf.GradientTape() as tape:
            # 1. The discriminator on real and on generated images, …
            fake_images = self.generator(noise, training=True)
            with tape.stop_recording():  # the discriminator's update has a tape of its own
                logs = self.train_discriminator(real_images, fake_images)

            # 2. … and the generator on the same generated images.
            g_loss = loss_real(self.discriminator(fake_images, training=True))
        variables = self.generator.trainable_variables
        minimize(self.g_optimizer, tape, g_loss, variables)
        return self.report(g_loss=g_loss, **logs)

    def train_discriminator(self, real_images, fake_images):
        """One update. Gives what is reported of it."""
        with tf.GradientTape() as tape:
            real = self.discriminator(real_images, training=True)
            fake = self.discriminator(fake_images, training=True)
            loss = loss_real(real) + loss_fake(fake)
        variables = self.discriminator.trainable_variables
        minimize(self.d_optimizer, tape, loss, variables)
        return {"d_loss": loss / 2, **accuracies(real, fake)}

    def membership_scores(self, images: np.ndarray) -> np.ndarray:
        """The discriminator's logits, n, of images, n×28×28×1 in [-1, 1] (Hayes et al. 2019).

        It is trained to call the training images real, and so may know them by heart.
        """
        return predict(self.discriminator, images)[:, 0]


class VAE(ChapterModel):
    """Trains an encoder and a decoder to maximise the evidence lower bound, ELBO.

    Args:
        encoder: images, n×784 in [0, 1], to z_mean and z_log_var, both n×latent_dim.
        decoder: codes, n×latent_dim, to logits, n×784.
        seed: with the iteration, sets the noise of each training step.
    """

    METRICS = ("loss",)
    PLOTS: ClassVar = {
        "loss (nats an image)": {"loss": "training"},
        "membership": {"auc": "AUC of the bound"},
    }
    SCORE = "bound on the likelihood"
    VALUE_RANGE = (0.0, 1.0)

    def __init__(self, encoder, decoder, seed=0):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.latent_dim = decoder.input_shape[-1]
        self.seed = seed

    def compile(self, optimizer, **kwargs):
        super().compile(optimizer=optimizer, **kwargs)
        optimizer.build(self.trainable_variables)

    @property
    def iterations(self):
        """Training steps done so far."""
        return self.optimizer.iterations

    def train_step(self, images):
        with tf.GradientTape() as tape:
            loss = -ops.mean(self.elbo(images, self.iterations, training=True))
        variables = self.trainable_variables
        minimize(self.optimizer, tape, loss, variables)
        return self.report(loss=loss)

    def elbo(self, images, iteration, training=False):
        """E log p(x|z) - KL(q(z|x) ‖ p(z)) of each image in nats, n, with one code drawn for each.

        Args:
            images: n×28×28×1 in [0, 1].
            iteration: sets the noise, with the seed.
        """
        pixels = ops.reshape(images, (-1, 784))
        mean, log_var = self.encoder(pixels, training=training)
        noise = normal_noise(tf.shape(mean), self.seed, iteration)
        logits = self.decoder(mean + ops.exp(log_var / 2) * noise, training=training)
        # log p(x|z) = x log(p) + (1 - x) log(1 - p) with p = sigmoid(logit), without overflow
        likelihood = ops.sum(pixels * logits - ops.softplus(logits), axis=1)
        kl = ops.sum(ops.exp(log_var) + ops.square(mean) - 1 - log_var, axis=1) / 2
        return likelihood - kl

    def fixed_noise(self, count: int) -> np.ndarray:
        """Codes for pictures and metrics, count×latent_dim, normal: the same each time."""
        return normal_noise((count, self.latent_dim), self.seed, -1).numpy()

    def generate(self, count: int) -> np.ndarray:
        """Images of `fixed_noise`, n×28×28×1 in [-1, 1]."""
        logits = predict(self.decoder, self.fixed_noise(count))
        return np.tanh(logits / 2).reshape(-1, 28, 28, 1)  # 2 sigmoid(logit) - 1

    def membership_scores(self, images: np.ndarray) -> np.ndarray:
        """The bound, n, a mean over DRAWS codes, of images, n×28×28×1 in [-1, 1].

        What a VAE reconstructs well, it has probably seen. Hilprecht et al. 2019 score by the error
        of reconstruction alone; the bound has the KL term, too.
        """
        pixels = (images + 1) / 2
        return np.mean([self.elbo(pixels, -2 - k).numpy() for k in range(DRAWS)], axis=0)
