"""The networks of chapter 7 (GANs in Action, section 7.3)."""

import keras
from keras import layers

from common import random_layers

CLASSES = 10


def build_generator(latent_dim: int = 100) -> keras.Model:
    """Noise to image: n×latent_dim, normal, to n×28×28×1 in (-1, 1). As in chapter 4."""
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(7 * 7 * 256),
            layers.Reshape((7, 7, 256)),  # 100 → 7×7×256
            layers.Conv2DTranspose(128, 3, strides=2, padding="same"),  # → 14×14×128
            layers.BatchNormalization(),
            layers.LeakyReLU(negative_slope=0.01),
            layers.Conv2DTranspose(64, 3, strides=1, padding="same"),  # → 14×14×64
            layers.BatchNormalization(),
            layers.LeakyReLU(negative_slope=0.01),
            layers.Conv2DTranspose(1, 3, strides=2, padding="same"),  # → 28×28×1
            # In mixed precision too, what leaves a network is float32.
            layers.Activation("tanh", dtype="float32"),
        ],
        name="generator",
    )


def build_discriminator(
    outputs: int = CLASSES, batch_norm: bool = True, dropout: float = 0.5
) -> keras.Model:
    """Image to logits of the classes: n×28×28×1 in [-1, 1] to n×outputs.

    Args:
        outputs: 10, or 11 with a logit of "fake" at the end; see `sgan.class_logits`.
        batch_norm: after the second and the third convolution, as in the English edition; the
            Korean edition has none.
        dropout: the share of activations that is dropped in training, before the last layer.
    """

    def normalize():
        return [layers.BatchNormalization()] if batch_norm else []

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, strides=2, padding="same"),  # 28×28×1 → 14×14×32
            layers.LeakyReLU(negative_slope=0.01),
            layers.Conv2D(64, 3, strides=2, padding="same"),  # → 7×7×64
            *normalize(),
            layers.LeakyReLU(negative_slope=0.01),
            layers.Conv2D(128, 3, strides=2, padding="same"),  # → 4×4×128
            *normalize(),
            layers.LeakyReLU(negative_slope=0.01),
            random_layers.Dropout(dropout),
            layers.Flatten(),  # → 2048
            layers.Dense(outputs, dtype="float32"),  # → 10
        ],
        name="discriminator",
    )
