"""The two convolutional networks of chapter 4 (GANs in Action, section 4.4)."""

import keras
from keras import layers


def build_generator(
    latent_dim: int = 100, image_shape=(28, 28, 1), slope: float = 0.01
) -> keras.Model:
    """Noise to image: n×latent_dim, normal, to n×28×28×1 in (-1, 1).

    Args:
        image_shape: height and width, multiples of 4, and channels.
        slope: of LeakyReLU below 0, the book's alpha.
    """
    height, width, channels = image_shape
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense((height // 4) * (width // 4) * 256),
            layers.Reshape((height // 4, width // 4, 256)),  # latent_dim → 7×7×256
            layers.Conv2DTranspose(128, 3, strides=2, padding="same"),  # → 14×14×128
            layers.BatchNormalization(),
            layers.LeakyReLU(negative_slope=slope),
            layers.Conv2DTranspose(64, 3, strides=1, padding="same"),  # → 14×14×64
            layers.BatchNormalization(),
            layers.LeakyReLU(negative_slope=slope),
            layers.Conv2DTranspose(channels, 3, strides=2, padding="same"),  # → 28×28×1
            # In mixed precision too, what leaves a network is float32.
            layers.Activation("tanh", dtype="float32"),
        ],
        name="generator",
    )


def build_discriminator(
    batch_norm: bool = True, image_shape=(28, 28, 1), slope: float = 0.01
) -> keras.Model:
    """Image to logit: n×28×28×1 in [-1, 1] to n×1; the logit's sigmoid is P(real).

    Args:
        batch_norm: after the second and the third convolution, as in the English edition; the
            Korean edition has none.
        image_shape: height, width, channels.
        slope: of LeakyReLU below 0, the book's alpha.

    The book ends in the sigmoid. We leave it to the loss, which is stable on logits and gives the
    same numbers.
    """

    def normalize():
        return [layers.BatchNormalization()] if batch_norm else []

    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(32, 3, strides=2, padding="same"),  # 28×28×1 → 14×14×32
            layers.LeakyReLU(negative_slope=slope),
            layers.Conv2D(64, 3, strides=2, padding="same"),  # → 7×7×64
            *normalize(),
            layers.LeakyReLU(negative_slope=slope),
            layers.Conv2D(128, 3, strides=2, padding="same"),  # → 4×4×128 (the book's text has 3×3)
            *normalize(),
            layers.LeakyReLU(negative_slope=slope),
            layers.Flatten(),  # → 2048
            layers.Dense(1, dtype="float32"),  # → 1
        ],
        name="discriminator",
    )
