"""SAGAN's training step (Zhang et al. 2019, section 4): the hinge game at two learning rates.

Its networks may or may not have attention: the step is the same.
"""

from typing import ClassVar

import tensorflow as tf
from keras import ops

from common.distribution import minimize
from common.gan import BaseGAN
from common.model import normal_noise
from common.spectral import update_vectors


def hinge_loss(real, fake):
    """The discriminator's: E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), a scalar (equation 4).

    Args:
        real, fake: logits of real and of generated images, n×1 each.
    """
    return ops.mean(ops.relu(1 - real)) + ops.mean(ops.relu(1 + fake))


def generator_loss(fake):
    """-E D(G(z)), a scalar (equation 4); from the logits of generated images, n×1."""
    return -ops.mean(fake)


class SAGAN(BaseGAN):
    """Trains a generator and a discriminator in the hinge game.

    The generator's optimiser is to have a smaller learning rate than the discriminator's (section
    4.2; Heusel et al. 2017 call it TTUR), so that one update of the discriminator for one of the
    generator is enough.

    Args:
        generator: noise, n×latent_dim, to images in [-1, 1].
        discriminator: images to logits, n×1.
        seed: with the iteration, sets the noise of each training step.
    """

    METRICS = ("d_loss", "g_loss", "real_logit", "fake_logit", "d_gamma", "g_gamma")
    PLOTS: ClassVar = {
        "loss": {"d_loss": "discriminator", "g_loss": "generator"},
        "discriminator's mean logit": {"real_logit": "real", "fake_logit": "generated"},
        "weight of the attention, γ": {"d_gamma": "discriminator", "g_gamma": "generator"},
    }

    def train_step(self, real_images):
        shape = (tf.shape(real_images)[0], self.latent_dim)
        noise = normal_noise(shape, self.seed, self.iterations)
        update_vectors(self.generator)  # of its spectral normalisation

        with tf.GradientTape() as tape:
            # 1. The discriminator on real and on generated images, …
            fake_images = self.generator(noise, training=True)
            with tape.stop_recording():  # the discriminator's update has a tape of its own
                logs = self.train_discriminator(real_images, fake_images)

            # 2. … and the generator on the same generated images.
            g_loss = generator_loss(self.discriminator(fake_images, training=True))
        variables = self.generator.trainable_variables
        minimize(self.g_optimizer, tape, g_loss, variables)

        gammas = {"d_gamma": gamma_of(self.discriminator), "g_gamma": gamma_of(self.generator)}
        return self.report(g_loss=g_loss, **logs, **gammas)

    def train_discriminator(self, real_images, fake_images):
        """One update. Gives what is reported of it."""
        update_vectors(self.discriminator)
        with tf.GradientTape() as tape:
            real = self.discriminator(real_images, training=True)
            fake = self.discriminator(fake_images, training=True)
            loss = hinge_loss(real, fake)
        variables = self.discriminator.trainable_variables
        minimize(self.d_optimizer, tape, loss, variables)
        return {"d_loss": loss, "real_logit": ops.mean(real), "fake_logit": ops.mean(fake)}


def gamma_of(network):
    """The weight of a network's attention, a scalar; 0 if it has none."""
    layer = next((layer for layer in network.layers if layer.name == "gamma"), None)
    return ops.convert_to_tensor(layer.gamma) if layer else tf.zeros(())
