"""The autoencoder and the variational autoencoder (GANs in Action, chapter 2).

Both squeeze an image through a small code and learn to get it back. The variational one (Kingma
and Welling 2014) has a distribution for a code, and pays for each nat in which that differs from
the standard normal. That is why its latent space can be sampled.
"""

import keras
import tensorflow as tf
from keras import ops

from common.device import CompiledLoop


def reconstruction_loss(images, logits):
    """Binary cross-entropy of each image in nats, n: summed over its pixels.

    Args:
        images: n×784 in [0, 1].
        logits: n×784; their sigmoid is the reconstruction.
    """
    # -x log(p) - (1 - x) log(1 - p) with p = sigmoid(logit), in a form that cannot overflow
    return ops.sum(ops.softplus(logits) - images * logits, axis=1)


def kl_loss(z_mean, z_log_var):
    """KL(N(z_mean, exp(z_log_var)) ‖ N(0, 1)) of each code in nats, n: summed over dimensions."""
    return 0.5 * ops.sum(ops.exp(z_log_var) + ops.square(z_mean) - 1 - z_log_var, axis=1)


class Autoencoder(CompiledLoop, keras.Model):
    """Learns to get images back from their codes.

    Args:
        encoder: images, n×784 in [0, 1], to codes, n×latent_dim.
        decoder: codes to logits, n×784.
        seed: with the iteration, sets the noise of each training step.
    """

    def __init__(self, encoder, decoder, seed=0):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.latent_dim = decoder.input_shape[-1]
        self.seed = seed
        self.built = True  # as both networks are; Keras refuses to save a model that is not
        self.loss_tracker = keras.metrics.Mean("loss")
        self.reconstruction_tracker = keras.metrics.Mean("reconstruction")
        self.kl_tracker = keras.metrics.Mean("kl")

    def compile(self, optimizer, **kwargs):
        super().compile(optimizer=optimizer, **kwargs)
        optimizer.build(self.trainable_variables)

    @property
    def metrics(self):
        return [self.loss_tracker, self.reconstruction_tracker, self.kl_tracker]

    @property
    def iterations(self):
        """Training steps done so far."""
        return self.optimizer.iterations

    def encode(self, images, iteration):
        """Codes of images, and each code's KL loss: there is none here."""
        return self.encoder(images), ops.zeros(ops.shape(images)[0])

    def locate(self, images):
        """Where images lie in the latent space: their codes without noise, n×latent_dim."""
        return self.encoder(images)

    def decode(self, codes):
        """Images of codes, n×784 in [0, 1]."""
        return ops.sigmoid(self.decoder(codes))

    def losses_of(self, images, iteration):
        """Reconstruction and KL loss of each image in nats, both n."""
        codes, kl = self.encode(images, iteration)
        return reconstruction_loss(images, self.decoder(codes)), kl

    def train_step(self, images):
        images = ops.reshape(images, (ops.shape(images)[0], -1))  # 28×28×1 → 784
        with tf.GradientTape() as tape:
            reconstruction, kl = self.losses_of(images, self.iterations)
            loss = ops.mean(reconstruction + kl)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)

        self.loss_tracker.update_state(loss)
        self.reconstruction_tracker.update_state(reconstruction)
        self.kl_tracker.update_state(kl)
        return {m.name: m.result() for m in self.metrics}


class VAE(Autoencoder):
    """An autoencoder whose encoder gives a normal distribution, from which the code is drawn."""

    def encode(self, images, iteration):
        """Codes drawn from their distributions, and each one's KL loss."""
        z_mean, z_log_var = self.encoder(images)
        # The reparametrisation: the noise is an input, so the gradient passes to mean and variance.
        noise = tf.random.stateless_normal(
            tf.shape(z_mean),
            seed=tf.stack([self.seed, tf.cast(iteration, tf.int32)]),
            alg="philox",  # by name: on a CPU, XLA's own choice takes several times as long
        )
        return z_mean + ops.exp(z_log_var / 2) * noise, kl_loss(z_mean, z_log_var)

    def locate(self, images):
        """The means of the codes' distributions, n×latent_dim."""
        return self.encoder(images)[0]
