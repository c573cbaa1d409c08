"""The two networks of chapter 3, with one hidden layer each (GANs in Action, section 3.4)."""

import keras
from keras import layers


def build_generator(
    latent_dim: int = 100, image_shape=(28, 28, 1), units: int = 128
) -> keras.Model:
    """Noise to image: n×latent_dim, normal, to n×28×28×1 in (-1, 1).

    Args:
        units: of the hidden layer. The book has 128.
    """
    pixels = image_shape[0] * image_shape[1] * image_shape[2]
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(units),  # 100 → 128
            layers.LeakyReLU(negative_slope=0.01),  # keeps a gradient below 0, unlike ReLU
            # 128 → 784; tanh makes crisper pictures than a sigmoid. In mixed precision too, what
            # leaves a network is float32.
            layers.Dense(pixels, activation="tanh", dtype="float32"),
            layers.Reshape(image_shape, dtype="float32"),  # 784 → 28×28×1
        ],
        name="generator",
    )


def build_discriminator(image_shape=(28, 28, 1), units: int = 128) -> keras.Model:
    """Image to logit: n×28×28×1 in [-1, 1] to n×1; the logit's sigmoid is P(real).

    The book ends in the sigmoid. We leave it to the loss, which is stable on logits and gives the
    same numbers.

    Args:
        units: of the hidden layer. The book has 128.
    """
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Flatten(),  # 28×28×1 → 784
            layers.Dense(units),  # 784 → 128
            layers.LeakyReLU(negative_slope=0.01),
            layers.Dense(1, dtype="float32"),  # 128 → 1
        ],
        name="discriminator",
    )
