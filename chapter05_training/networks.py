"""Chapter 4's two convolutional networks, with a switch for each hack that is a matter of networks.

GANs in Action, section 5.4; the networks without switches are in section 4.4.
"""

import keras
from keras import layers

from chapter05_training.minibatch import MinibatchDiscrimination
from common import random_layers
from common.spectral import SpectralConv2D, SpectralDense


def build_generator(
    latent_dim: int = 100,
    *,
    batch_norm: bool = True,
    slope: float = 0.01,
    extra_layers: int = 0,
    activation: str = "tanh",
) -> keras.Model:
    """Noise to image: n×latent_dim, normal, to n×28×28×1, in (-1, 1) or (0, 1).

    Args:
        batch_norm: after each convolution but the last.
        slope: of LeakyReLU below 0; 0 makes it ReLU.
        extra_layers: further convolutions, which leave the size as it is: a deeper network.
        activation: of the last layer: "tanh", or "sigmoid" for images in (0, 1).
    """

    def normalize():
        return [layers.BatchNormalization()] if batch_norm else []

    def extra():
        convolution = layers.Conv2D(64, 3, padding="same")
        return [convolution, *normalize(), layers.LeakyReLU(negative_slope=slope)]

    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(7 * 7 * 256),
            layers.Reshape((7, 7, 256)),  # latent_dim → 7×7×256
            layers.Conv2DTranspose(128, 3, strides=2, padding="same"),  # → 14×14×128
            *normalize(),
            layers.LeakyReLU(negative_slope=slope),
            layers.Conv2DTranspose(64, 3, strides=1, padding="same"),  # → 14×14×64
            *normalize(),
            layers.LeakyReLU(negative_slope=slope),
            *[layer for _ in range(extra_layers) for layer in extra()],  # 14×14×64
            layers.Conv2DTranspose(1, 3, strides=2, padding="same"),  # → 28×28×1
            layers.Activation(activation, dtype="float32"),
        ],
        name="generator",
    )


def build_discriminator(
    normalization: str = "none",
    *,
    slope: float = 0.01,
    extra_layers: int = 0,
    pooling: bool = False,
    minibatch: bool = False,
    image_noise: float = 0.0,
) -> keras.Model:
    """Image to logit: n×28×28×1 to n×1. Its layer `features` gives n×2048.

    Args:
        normalization: "none", as in the Korean edition; "batch", after the second and the third
            convolution, as in the English one; or "spectral", of the convolutions and the dense
            layer.
        slope, extra_layers: as in `build_generator`.
        pooling: halve the size by max-pooling, not by strides.
        minibatch: let each image be compared with the others of its batch.
        image_noise: standard deviation of normal noise that is added to the images, for training.
    """
    spectral = normalization == "spectral"

    def convolution(filters, strides=1):
        if spectral:
            return SpectralConv2D(filters, 3, strides)
        return layers.Conv2D(filters, 3, strides, padding="same")

    def normalize():
        return [layers.BatchNormalization()] if normalization == "batch" else []

    def halve(filters):
        if pooling:
            return [convolution(filters), layers.MaxPooling2D(2, padding="same")]
        return [convolution(filters, strides=2)]

    def extra():
        return [convolution(64), *normalize(), layers.LeakyReLU(negative_slope=slope)]

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *([random_layers.GaussianNoise(image_noise)] if image_noise else []),
            *halve(32),  # 28×28×1 → 14×14×32
            layers.LeakyReLU(negative_slope=slope),
            *halve(64),  # → 7×7×64
            *normalize(),
            layers.LeakyReLU(negative_slope=slope),
            *[layer for _ in range(extra_layers) for layer in extra()],  # 7×7×64
            *halve(128),  # → 4×4×128
            *normalize(),
            layers.LeakyReLU(negative_slope=slope),
            layers.Flatten(name="features"),  # → 2048
            *([MinibatchDiscrimination(dtype="float32")] if minibatch else []),  # → 2148
            SpectralDense(1, dtype="float32") if spectral else layers.Dense(1, dtype="float32"),
        ],
        name="discriminator",
    )
