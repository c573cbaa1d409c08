"""The networks that are attacked: a small DCGAN's and a VAE's.

As chapters 4 and 2 build them, with fewer features in the generator, and with more in the VAE.
"""

import keras
from keras import layers

SLOPE = 0.2  # of LeakyReLU below 0


def build_generator(latent_dim: int = 64) -> keras.Model:
    """Noise to image: n×latent_dim, normal, to n×28×28×1 in (-1, 1)."""
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(7 * 7 * 64),
            layers.Reshape((7, 7, 64)),  # latent_dim → 7×7×64
            layers.BatchNormalization(),
            layers.LeakyReLU(SLOPE),
            layers.Conv2DTranspose(32, 4, strides=2, padding="same"),  # → 14×14×32
            layers.BatchNormalization(),
            layers.LeakyReLU(SLOPE),
            layers.Conv2DTranspose(1, 4, strides=2, padding="same"),  # → 28×28×1
            layers.Activation("tanh", dtype="float32"),
        ],
        name="generator",
    )


def build_discriminator() -> keras.Model:
    """Image to logit: n×28×28×1 in [-1, 1] to n×1."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 4, strides=2, padding="same"),  # → 14×14×32
            layers.LeakyReLU(SLOPE),
            layers.Conv2D(64, 4, strides=2, padding="same"),  # → 7×7×64
            layers.LeakyReLU(SLOPE),
            layers.Flatten(),  # → 3136
            layers.Dense(1, dtype="float32"),
        ],
        name="discriminator",
    )


def build_encoder(latent_dim: int = 64) -> keras.Model:
    """Image to mean and log-variance of its code: n×784 in [0, 1] to n×latent_dim twice."""
    image = keras.Input((784,))
    hidden = layers.Dense(512, activation="relu")(image)
    mean = layers.Dense(latent_dim, dtype="float32", name="mean")(hidden)
    log_variance = layers.Dense(latent_dim, dtype="float32", name="log_variance")(hidden)
    return keras.Model(image, [mean, log_variance], name="encoder")


def build_decoder(latent_dim: int = 64) -> keras.Model:
    """Code to logits, whose sigmoid is the image: n×latent_dim to n×784."""
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(512, activation="relu"),
            layers.Dense(784, dtype="float32"),
        ],
        name="decoder",
    )
