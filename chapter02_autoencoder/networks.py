"""Encoder and decoder of chapter 2, with one hidden layer each (GANs in Action, section 2.7)."""

import keras
from keras import layers


def build_encoder(latent_dim: int = 2, variational: bool = True, pixels: int = 784) -> keras.Model:
    """Maps images, n×784 in [0, 1], to the latent space.

    Returns:
        With `variational`, a model with two outputs, the mean and the logarithm of the variance of
        the code's normal distribution, both n×latent_dim; otherwise one output, the code itself.
    """
    images = keras.Input((pixels,))
    hidden = layers.Dense(256, activation="relu")(images)  # 784 → 256
    # 256 → 2; float32 in mixed precision too, as the losses need it.
    if not variational:
        z = layers.Dense(latent_dim, dtype="float32", name="z")(hidden)
        return keras.Model(images, z, name="encoder")
    z_mean = layers.Dense(latent_dim, dtype="float32", name="z_mean")(hidden)
    z_log_var = layers.Dense(latent_dim, dtype="float32", name="z_log_var")(hidden)
    return keras.Model(images, [z_mean, z_log_var], name="encoder")


def build_decoder(latent_dim: int = 2, pixels: int = 784) -> keras.Model:
    """Maps codes, n×latent_dim, to logits, n×784, whose sigmoid is the image in [0, 1].

    The book's decoder ends in the sigmoid. Here the sigmoid is in the loss, which is the same and
    on logits cannot overflow.
    """
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(256, activation="relu"),  # 2 → 256
            layers.Dense(pixels, dtype="float32"),  # 256 → 784
        ],
        name="decoder",
    )
