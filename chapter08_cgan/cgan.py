"""The conditional GAN's training algorithm (GANs in Action, section 8.3; Mirza & Osindero 2014).

The iteration is that of chapter 4, with labels: the discriminator is trained on real images with
their labels, then on generated ones with the same labels, and then the generator through the
discriminator, with labels drawn at random: three updates, each on a mini-batch of its own.
"""

import keras
import tensorflow as tf
from keras import ops

from common import distribution
from common.distribution import minimize, undivided
from common.gan import BaseGAN, accuracies
from common.model import predict

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def loss_real(logits):
    """Mean of -log P(real), a scalar; from logits, n×1. Small where they say "real"."""
    return undivided(cross_entropy(ops.ones_like(logits), logits))


def loss_fake(logits):
    """Mean of -log(1 - P(real)), a scalar; from logits, n×1. Small where they say "fake"."""
    return undivided(cross_entropy(ops.zeros_like(logits), logits))


class CGAN(BaseGAN):
    """Trains a generator and a discriminator that are both given the label.

    Args:
        generator: noise, n×latent_dim, and labels, n, to images in [-1, 1].
        discriminator: images and labels, n, to logits, n×1.
        classes: how many there are; the labels count from 0.
        seed: with the iteration, sets the noise and the random labels of each training step.
    """

    def __init__(self, generator, discriminator, classes=10, seed=0):
        super().__init__(generator, discriminator, seed)
        self.classes = classes

    def train_step(self, batch):
        """One iteration.

        Args:
            batch: images, n×28×28×1 in [-1, 1], and their labels, n, int32.

        Returns:
            By the names of METRICS, the means since the epoch began.
        """
        real_images, labels = batch
        batch_size = tf.shape(labels)[0]
        noise_for_d, noise_for_g = tf.unstack(self.noise(self.iterations, batch_size))

        # 1. The discriminator on real images with their labels.
        d_loss_real, logits_real = self.train_discriminator(real_images, labels, loss_real)

        # 2. The discriminator on generated images of the same labels. The generator is in inference
        # mode, as in the book's `predict`: its batch normalisation uses the running statistics.
        fake_images = self.generator([noise_for_d, labels], training=False)
        d_loss_fake, logits_fake = self.train_discriminator(fake_images, labels, loss_fake)

        # 3. The generator, whose images are to pass for real ones of the labels that it is given.
        g_loss = self.train_generator(noise_for_g, self.random_labels(self.iterations, batch_size))

        return self.report(
            d_loss=(d_loss_real + d_loss_fake) / 2,
            g_loss=g_loss,
            **accuracies(logits_real, logits_fake),
        )

    def train_discriminator(self, images, labels, loss_function):
        """Update 1 or 2. Its loss, a scalar, and logits, n×1: those of before the update."""
        with tf.GradientTape() as tape:
            loss, logits = self.loss_and_logits(images, labels, loss_function)
        variables = self.discriminator.trainable_variables
        minimize(self.d_optimizer, tape, loss, variables)
        return loss, logits

    def train_generator(self, noise, labels):
        """Update 3. Its loss, a scalar: that of before the update."""
        with tf.GradientTape() as tape:
            fake_images = self.generator([noise, labels], training=True)
            loss, _ = self.loss_and_logits(fake_images, labels, loss_real)
        variables = self.generator.trainable_variables
        minimize(self.g_optimizer, tape, loss, variables)
        return loss

    def loss_and_logits(self, images, labels, loss_function):
        """The discriminator's forward pass: its loss, a scalar, and its logits of "real", n×1.

        In training mode in all three updates, so that the generator learns from the network that
        was just trained: chapter 4 says why.
        """
        logits = self.discriminator([images, labels], training=True)
        return loss_function(logits), logits

    def random_labels(self, iteration, batch_size):
        """Labels for update 3, int32, batch_size, uniform over the classes.

        They are a function of seed and iteration alone, as the noise is.
        """
        step_seed = tf.stack([self.seed, tf.cast(iteration, tf.int32)])
        return distribution.draw(
            tf.random.stateless_uniform,
            (batch_size,),
            seed=tf.random.fold_in(step_seed, 1),  # independent of the noise, which has step_seed
            maxval=self.classes,
            dtype=tf.int32,
            alg="philox",
        )

    def generate(self, noise, labels):
        """Images of noise, n×latent_dim, and labels, n: n×height×width×channels in [-1, 1]."""
        return predict(self.generator, [noise, labels])
