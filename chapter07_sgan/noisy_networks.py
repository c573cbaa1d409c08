"""Networks after Salimans et al. (2016): a dense generator; discriminators with noise in them."""

import keras
from keras import layers

from chapter07_sgan.networks import CLASSES
from common import distribution, random_layers


def build_dense_generator(latent_dim: int = 100, synchronized: bool = True) -> keras.Model:
    """Noise to image: n×latent_dim, normal, to n×28×28×1 in (-1, 1).

    It costs a fiftieth of the convolutional generator, and the images need not be good: see
    `feature_matching.FeatureMatchingSGAN`. Where several devices train, batch normalisation is
    over all of the batch, if it is `synchronized`.
    """

    def hidden():
        return [
            layers.Dense(500, use_bias=False),
            layers.BatchNormalization(synchronized=synchronized and distribution.devices() > 1),
            layers.Activation("softplus"),
        ]

    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            *hidden(),  # 100 → 500
            *hidden(),
            layers.Dense(28 * 28, activation="tanh", dtype="float32"),
            layers.Reshape((28, 28, 1), dtype="float32"),  # 784 → 28×28×1
        ],
        name="generator",
    )


def build_dense_discriminator(outputs: int = CLASSES, noise: float = 0.5) -> keras.Model:
    """Image to logits of the classes: n×28×28×1 in [-1, 1] to n×outputs.

    The first layer is half as wide as the paper's, to save time.

    Args:
        outputs: 10, or 11 with a logit of "fake" at the end; see `sgan.class_logits`.
        noise: standard deviation of the Gaussian noise that is added to each hidden layer in
            training. The images, which are in [-1, 1], get 1.2 times as much.

    The noise regularises: the discriminator cannot tell real images from generated ones by tiny
    differences. Larger weights would make the noise negligible, so each unit's weight vector is
    constrained to length 1. The paper uses weight normalisation, for which Keras has no layer.
    `Rescaling` brings the activations back to a size of about 1.
    """

    def hidden(units, scale):
        return _noisy_dense(units, scale, noise)

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),  # 28×28×1 → 784
            random_layers.GaussianNoise(1.2 * noise),
            *hidden(500, scale=2.0),
            *hidden(500, scale=1.15),
            *hidden(250, scale=1.15),
            *hidden(250, scale=1.15),
            *hidden(250, scale=1.15),
            layers.Dense(outputs, dtype="float32"),  # 250 → 10
        ],
        name="discriminator",
    )


def build_noisy_convolutional_discriminator(
    outputs: int = CLASSES, noise: float = 0.2
) -> keras.Model:
    """Image to logits of the classes: n×28×28×1 in [-1, 1] to n×outputs.

    Two convolutions, two hidden dense layers and the output; each hidden unit's weight vector has
    length 1, as in `build_dense_discriminator`.

    Args:
        outputs: 10, or 11 with a logit of "fake" at the end; see `sgan.class_logits`.
        noise: standard deviation of the Gaussian noise that is added to each hidden dense layer in
            training. The images get 1.2 times as much, the convolutions none: it takes more time
            there than anywhere else.
    """

    def convolution(filters, scale):
        return [
            layers.Conv2D(
                filters,
                kernel_size=5,
                strides=2,
                padding="same",
                kernel_constraint=keras.constraints.UnitNorm(axis=[0, 1, 2]),
            ),
            layers.Rescaling(scale),
            layers.ReLU(),
        ]

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            random_layers.GaussianNoise(1.2 * noise),
            *convolution(16, scale=1.2),  # 28×28×1 → 14×14×16
            *convolution(32, scale=1.15),  # 14×14×16 → 7×7×32
            layers.Flatten(),
            *_noisy_dense(250, scale=1.15, noise=noise),
            *_noisy_dense(250, scale=1.15, noise=noise),
            layers.Dense(outputs, dtype="float32"),  # 250 → 10
        ],
        name="discriminator",
    )


def _noisy_dense(units, scale, noise):
    """A hidden layer: each unit's weight vector has length 1, and its activation gets noise."""
    return [
        layers.Dense(units, kernel_constraint=keras.constraints.UnitNorm(axis=0)),
        layers.Rescaling(scale),
        layers.ReLU(),
        random_layers.GaussianNoise(noise),
    ]
