"""The networks of augmentation.py and design.py.

They are chapter 4's and 8's convolutions, smaller, for images of any size that 4 divides.
"""

import keras
from keras import layers

from common import random_layers

SLOPE = 0.2  # of LeakyReLU below 0
Shape = tuple[int, int, int]


def build_generator(
    image_shape: Shape, classes: int, latent_dim: int = 100, width: int = 64
) -> keras.Model:
    """Noise and label to image: n×latent_dim, normal, and n, to n×image_shape in (-1, 1).

    Args:
        image_shape: height, width, channels.
        classes: K; labels are from 0 to K - 1.
        width: channels of the smallest feature maps; the larger ones have half as many.
    """
    height, breadth, channels = image_shape
    noise = keras.Input((latent_dim,), name="noise")
    label = keras.Input((), dtype="int32", name="label")
    x = layers.Concatenate()([noise, _one_hot(label, classes)])  # latent_dim + K
    x = layers.Dense(height // 4 * (breadth // 4) * width)(x)
    x = layers.Reshape((height // 4, breadth // 4, width))(x)  # of 28×28: 7×7×width
    for kernel, strides in ((4, 2), (3, 1)):  # → 14×14×width/2 → 14×14×width/2
        x = layers.BatchNormalization()(x)
        x = layers.LeakyReLU(negative_slope=SLOPE)(x)
        x = layers.Conv2DTranspose(width // 2, kernel, strides, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.LeakyReLU(negative_slope=SLOPE)(x)
    x = layers.Conv2DTranspose(channels, 4, 2, padding="same")(x)  # → 28×28×channels
    # In mixed precision too, what leaves a network is float32.
    image = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model([noise, label], image, name="generator")


def build_discriminator(image_shape: Shape, classes: int, width: int = 64) -> keras.Model:
    """Image and label to the logit of "real": n×image_shape in [-1, 1] and n to n×1.

    The label is laid over the image as one plane a class (Mirza & Osindero 2014). No batch
    normalisation: with it, R1 would not be a penalty on each image's own gradient.
    """
    height, breadth, _ = image_shape
    image = keras.Input(image_shape, name="image")
    label = keras.Input((), dtype="int32", name="label")
    planes = layers.Reshape((1, 1, classes))(_one_hot(label, classes))
    planes = layers.UpSampling2D((height, breadth))(planes)  # → 28×28×K
    features = _convolutions(layers.Concatenate()([image, planes]), width)
    logit = layers.Dense(1, dtype="float32")(features)
    return keras.Model([image, label], logit, name="discriminator")


def build_naming_discriminator(
    image_shape: Shape, kinds: int, styles: int, width: int = 64
) -> keras.Model:
    """Image to three logits: of "real", n×1; of the kinds, n×kinds; of the styles, n×styles.

    The discriminator of Sbai et al. (2018): it judges, and names kind and style.
    """
    image = keras.Input(image_shape, name="image")
    features = _convolutions(image, width)
    real = layers.Dense(1, dtype="float32", name="real")(features)
    kind = layers.Dense(kinds, dtype="float32", name="kind")(features)
    style = layers.Dense(styles, dtype="float32", name="style")(features)
    return keras.Model(image, [real, kind, style], name="discriminator")


def build_classifier(image_shape: Shape, classes: int) -> keras.Model:
    """Image to logits of the classes: n×image_shape in [-1, 1] to n×K."""
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),  # 28 → 14×14×16
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),  # → 7×7×32
            layers.Flatten(),  # → 1568
            random_layers.Dropout(0.5),
            layers.Dense(64, activation="relu"),
            random_layers.Dropout(0.5),
            layers.Dense(classes, dtype="float32"),
        ],
        name="classifier",
    )


def _one_hot(label, classes):
    return layers.CategoryEncoding(classes, output_mode="one_hot")(label)


def _convolutions(x, width):
    for filters in (width // 2, width, 2 * width):  # 28×28 → 14×14 → 7×7 → 4×4×2·width
        x = layers.Conv2D(filters, 3, strides=2, padding="same")(x)
        x = layers.LeakyReLU(negative_slope=SLOPE)(x)
    return layers.Flatten()(x)
