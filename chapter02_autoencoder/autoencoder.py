"""The plain autoencoder (GANs in Action, section 2.4), which the book explains before the VAE."""

from typing import ClassVar

import numpy as np
import tensorflow as tf
from keras import ops

from chapter02_autoencoder.vae import VAE, reconstruction_loss
from common.distribution import minimize


class Autoencoder(VAE):
    """A VAE without the distribution: the code is the encoder's output, and there is no KL loss.

    Args:
        encoder: images, n×784 in [0, 1], to codes, n×latent_dim.
        decoder: codes to logits, n×784.
    """

    METRICS = ("loss",)  # in nats an image
    PLOTS: ClassVar = {
        "reconstruction loss (nats an image)": {"loss": "training", "test_reconstruction": "test"}
    }

    def train_step(self, images):
        """One iteration on images, n×28×28×1 in [0, 1]; the mean loss since the epoch began."""
        images = ops.reshape(images, (ops.shape(images)[0], -1))  # n×28×28×1 → n×784
        with tf.GradientTape() as tape:
            codes = self.encoder(images, training=True)
            logits = self.decoder(codes, training=True)
            loss = ops.mean(reconstruction_loss(images, logits))
        minimize(self.optimizer, tape, loss, self.trainable_variables)
        return self.report(loss=loss)

    def encode(self, images):
        """Codes of images, n×latent_dim."""
        return self.encoder(images, training=False)

    def test_losses(self, images):
        """Mean loss of images that training does not see, n×784, in nats an image."""
        logits = self.decoder(self.encode(images), training=False)
        return {"test_reconstruction": float(np.mean(reconstruction_loss(images, logits)))}
