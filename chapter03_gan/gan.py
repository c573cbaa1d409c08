"""The GAN's training algorithm (GANs in Action, section 3.4; Goodfellow et al. 2014).

Each iteration trains the discriminator on real images, then on generated ones, and then the
generator through the discriminator: three updates, each on a mini-batch of its own.
"""

import keras
import tensorflow as tf
from keras import ops

from common.distribution import minimize, undivided
from common.gan import BaseGAN, accuracies

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def loss_real(logits):
    """Mean of -log P(real), a scalar; from logits, n×1. Small where they say "real"."""
    return undivided(cross_entropy(ops.ones_like(logits), logits))


def loss_fake(logits):
    """Mean of -log(1 - P(real)), a scalar; from logits, n×1. Small where they say "fake"."""
    return undivided(cross_entropy(ops.zeros_like(logits), logits))


class GAN(BaseGAN):
    """Trains a generator and a discriminator against each other.

    Args:
        generator: n×latent_dim to images in [-1, 1].
        discriminator: images to logits, n×1.
        seed: with the iteration, sets the noise of each training step.
    """

    def train_step(self, real_images):
        """One iteration.

        Args:
            real_images: n×height×width×channels in [-1, 1].

        Returns:
            By the names of METRICS, the means since the epoch began.
        """
        # Two batches of noise: one for the discriminator's generated images, one for the generator.
        noise_for_d, noise_for_g = tf.unstack(self.noise(self.iterations, tf.shape(real_images)[0]))

        # 1. The discriminator on real images.
        d_loss_real, logits_real = self.train_discriminator(real_images, loss_real)

        # 2. The discriminator on generated images: an update of its own, as in the book. With the
        # book's settings, one update on the mean of both losses makes worse pictures (see README).
        fake_images = self.generator(noise_for_d, training=False)
        d_loss_fake, logits_fake = self.train_discriminator(fake_images, loss_fake)

        # 3. The generator, whose images are to pass for real. Only its variables are updated.
        g_loss = self.train_generator(noise_for_g)

        return self.report(
            d_loss=(d_loss_real + d_loss_fake) / 2,
            g_loss=g_loss,
            **accuracies(logits_real, logits_fake),
        )

    def train_discriminator(self, images, loss_function):
        """Update 1 or 2. Its loss, a scalar, and logits, n×1: those of before the update."""
        with tf.GradientTape() as tape:
            logits = self.discriminator(images, training=True)
            loss = loss_function(logits)
        variables = self.discriminator.trainable_variables
        minimize(self.d_optimizer, tape, loss, variables)
        return loss, logits

    def train_generator(self, noise):
        """Update 3. Its loss, a scalar: that of before the update."""
        with tf.GradientTape() as tape:
            fake_images = self.generator(noise, training=True)
            # Labelled "real": the discriminator is to take these images for real ones.
            loss = loss_real(self.discriminator(fake_images, training=True))
        variables = self.generator.trainable_variables
        minimize(self.g_optimizer, tape, loss, variables)
        return loss
