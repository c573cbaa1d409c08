"""Encoder and decoder of chapter 2, with one hidden layer each (GANs in Action, section 2.6)."""

import keras
from keras import layers


def build_encoder(latent_dim: int = 2, variational: bool = True, pixels: int = 784) -> keras.Model:
    """Images, n×784 in [0, 1], to the latent space.

    Returns:
        With `variational`, a model with two outputs, the mean and the logarithm of the variance of
        the code's distribution, both n×latent_dim; otherwise one, the code itself.
    """
    images = keras.Input((pixels,))
    hidden = layers.Dense(256, activation="relu")(images)  # 784 → 256
    # 256 → 2. In mixed precision too, what leaves a network is float32.
    if not variational:
        z = layers.Dense(latent_dim, dtype="float32", name="z")(hidden)
        return keras.Model(images, z, name="encoder")
    z_mean = layers.Dense(latent_dim, dtype="float32", name="z_mean")(hidden)
    z_log_var = layers.Dense(latent_dim, dtype="float32", name="z_log_var")(hidden)
    return keras.Model(images, [z_mean, z_log_var], name="encoder")


def build_decoder(latent_dim: int = 2, pixels: int = 784) -> keras.Model:
    """Codes, n×latent_dim, to logits, n×784, whose sigmoid is the image in [0, 1].

    The book's decoder ends in the sigmoid. We leave it to the loss, which is stable on logits and
    gives the same numbers.
    """
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(256, activation="relu"),  # 2 → 256
            layers.Dense(pixels, dtype="float32"),  # 256 → 784
        ],
        name="decoder",
    )
