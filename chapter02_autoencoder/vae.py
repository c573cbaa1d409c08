"""The variational autoencoder, VAE (GANs in Action, sections 2.6 and 2.7; Kingma and Welling 2014).

The encoder turns an image x into a normal distribution q(z|x) of codes z; the code is drawn from
it, and the decoder turns the code back into an image. The plain autoencoder, which the book
explains first, is in autoencoder.py.
"""

from typing import ClassVar

import numpy as np
import tensorflow as tf
from keras import ops

from common.distribution import minimize
from common.model import ChapterModel, normal_noise

# Given to `normal_noise` as iterations: training counts from 0 and never sees their noise.
PRIOR_NOISE, TEST_NOISE = -1, -2


def reconstruction_loss(images, logits):
    """-log p(x|z), the binary cross-entropy of each image in nats, n: summed over its pixels.

    Args:
        images: n×784 in [0, 1].
        logits: n×784; their sigmoid is the reconstruction.
    """
    # -x log(p) - (1 - x) log(1 - p) with p = sigmoid(logit), in a form that cannot overflow
    return ops.sum(ops.softplus(logits) - images * logits, axis=1)


def kl_loss(z_mean, z_log_var):
    """KL(q(z|x) ‖ p(z)) of each image in nats, n: summed over the latent dimensions.

    Args:
        z_mean, z_log_var: of q(z|x) = N(z_mean, exp(z_log_var)), n×latent_dim. The prior p(z) is
            N(0, 1).
    """
    return 0.5 * ops.sum(ops.exp(z_log_var) + ops.square(z_mean) - 1 - z_log_var, axis=1)


class VAE(ChapterModel):
    """Trains an encoder and a decoder together, on one loss.

    Args:
        encoder: images, n×784 in [0, 1], to z_mean and z_log_var, both n×latent_dim.
        decoder: codes, n×latent_dim, to logits, n×784.
        seed: with the iteration, sets the noise of each training step.
    """

    METRICS: tuple[str, ...] = ("loss", "reconstruction", "kl")  # in nats an image
    PLOTS: ClassVar = {
        "loss (nats an image)": {
            "loss": "training",
            "reconstruction": "training, reconstruction",
            "test_reconstruction": "test, reconstruction",
        },
        "KL (nats an image)": {"kl": "training", "test_kl": "test"},
    }

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
        """One iteration.

        Args:
            images: n×28×28×1 in [0, 1].

        Returns:
            By the names of METRICS, the means since the epoch began.
        """
        images = ops.reshape(images, (ops.shape(images)[0], -1))  # n×28×28×1 → n×784
        with tf.GradientTape() as tape:
            reconstruction, kl = self.loss_terms(images, self.iterations, training=True)
            # Minimize E[-log p(x|z)] + KL(q(z|x) ‖ p(z)): the negative of the ELBO, the evidence
            # lower bound, which is at most log p(x).
            loss = ops.mean(reconstruction + kl)
        variables = self.trainable_variables
        minimize(self.optimizer, tape, loss, variables)
        return self.report(loss=loss, reconstruction=reconstruction, kl=kl)

    def loss_terms(self, images, iteration, training):
        """Reconstruction and KL loss of each image in nats, both n, with one code drawn for each.

        Args:
            images: n×784 in [0, 1].
            iteration: sets the noise, with the seed.
            training: whether the networks run in training mode.
        """
        z_mean, z_log_var = self.encoder(images, training=training)
        codes = self.reparameterize(z_mean, z_log_var, iteration)
        logits = self.decoder(codes, training=training)
        return reconstruction_loss(images, logits), kl_loss(z_mean, z_log_var)

    def reparameterize(self, z_mean, z_log_var, iteration):
        """Codes drawn from N(z_mean, exp(z_log_var)), n×latent_dim: the reparameterization trick.

        The noise is an input, so the gradient passes to mean and variance.
        """
        noise = normal_noise(tf.shape(z_mean), self.seed, iteration)
        return z_mean + ops.exp(z_log_var / 2) * noise

    def encode(self, images):
        """Codes of images without noise, n×latent_dim: the means of their distributions."""
        z_mean, _ = self.encoder(images, training=False)
        return z_mean

    def decode(self, codes):
        """Images of codes, n×784 in [0, 1]."""
        return ops.sigmoid(self.decoder(codes, training=False))

    def generate(self, count):
        """Images of codes drawn from the prior, n×784 in [0, 1]: the same codes each time."""
        return self.decode(normal_noise((count, self.latent_dim), self.seed, PRIOR_NOISE))

    def test_losses(self, images):
        """Mean losses of images that training does not see, in nats an image, by name."""
        terms = self.loss_terms(images, TEST_NOISE, training=False)
        reconstruction, kl = (np.mean(loss) for loss in terms)
        return {
            "test_reconstruction": float(reconstruction),
            "test_kl": float(kl),
            "test_elbo": float(-reconstruction - kl),
        }
