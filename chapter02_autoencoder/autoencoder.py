"""The plain autoencoder (GANs in Action, section 2.4), which the book explains before the VAE."""

from typing import ClassVar

import numpy as np
from keras import ops

from chapter02_autoencoder.vae import TEST_NOISE, VAE, reconstruction_loss


class Autoencoder(VAE):
    """A VAE without the distribution: the code is the encoder's output, and there is no KL loss.

    Args:
        encoder: images, n×784 in [0, 1], to codes, n×latent_dim.
        decoder: codes to logits, n×784.
    """

    METRICS = ("loss", "reconstruction")  # which are the same
    PLOTS: ClassVar = {
        "reconstruction loss (nats an image)": {"loss": "training", "test_reconstruction": "test"}
    }

    def loss_terms(self, images, iteration, training):
        """Reconstruction loss of each image in nats, n, and zeros in the KL loss' place."""
        logits = self.decoder(self.encoder(images, training=training), training=training)
        return reconstruction_loss(images, logits), ops.zeros(ops.shape(images)[0])

    def report(self, *, kl, **values):
        """As the VAE's, without the KL loss."""
        return super().report(**values)

    def encode(self, images):
        """Codes of images, n×latent_dim."""
        return self.encoder(images, training=False)

    def test_losses(self, images):
        """Mean loss of images that training does not see, in nats an image."""
        reconstruction, _ = self.loss_terms(images, TEST_NOISE, training=False)
        return {"test_reconstruction": float(np.mean(reconstruction))}
