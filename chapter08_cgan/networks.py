"""The conditional networks of chapter 8 (GANs in Action, section 8.3), and those of ACGAN.

A network is given the label in one of two forms:

* "embedding", the book's. The generator has a learned vector for each class and multiplies the
  noise by it. The discriminator has one of 784 numbers, which becomes the image's second channel.
* "one-hot" (Mirza & Osindero 2014). Ten numbers beside the noise, or ten channels beside the
  image's, of which one is 1 and the others are 0.
"""

import keras
from keras import layers

CLASSES = 10
CONDITIONS = ("embedding", "one-hot")


def build_generator(
    latent_dim: int = 100, condition: str = "embedding", slope: float = 0.01
) -> keras.Model:
    """Noise and label to image: n×latent_dim, normal, and n, 0 to 9, to n×28×28×1 in [-1, 1].

    Args:
        condition: the form of the label, one of CONDITIONS.
        slope: of LeakyReLU, below 0.

    Raises:
        ValueError: there is no such condition.
    """
    _check(condition)
    noise = keras.Input((latent_dim,), name="noise")
    label = keras.Input((), dtype="int32", name="label")
    if condition == "embedding":
        vector = layers.Embedding(CLASSES, latent_dim)(label)  # a class → 100
        x = layers.Multiply()([noise, vector])
    else:
        x = layers.Concatenate()([noise, _one_hot(label)])  # 100 + 10
    x = layers.Dense(7 * 7 * 256)(x)
    x = layers.Reshape((7, 7, 256))(x)  # → 7×7×256
    x = layers.Conv2DTranspose(128, 3, strides=2, padding="same")(x)  # → 14×14×128
    x = layers.BatchNormalization()(x)
    x = layers.LeakyReLU(negative_slope=slope)(x)
    x = layers.Conv2DTranspose(64, 3, strides=1, padding="same")(x)  # → 14×14×64
    x = layers.BatchNormalization()(x)
    x = layers.LeakyReLU(negative_slope=slope)(x)
    x = layers.Conv2DTranspose(1, 3, strides=2, padding="same")(x)  # → 28×28×1
    # In mixed precision too, what leaves a network is float32.
    image = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model([noise, label], image, name="generator")


def build_discriminator(
    condition: str = "embedding", batch_norm: bool = True, slope: float = 0.01
) -> keras.Model:
    """Image and label to logit: n×28×28×1 in [-1, 1] and n, 0 to 9, to n×1.

    The logit's sigmoid is the probability that the image is real and has this label.

    Args:
        condition: the form of the label, one of CONDITIONS.
        batch_norm: after the second and the third convolution, as in the English edition; the
            Korean edition has none.
        slope: of LeakyReLU, below 0.

    Raises:
        ValueError: there is no such condition.
    """
    _check(condition)
    image = keras.Input((28, 28, 1), name="image")
    label = keras.Input((), dtype="int32", name="label")
    if condition == "embedding":
        plane = layers.Embedding(CLASSES, 28 * 28)(label)  # a class → 784
        plane = layers.Reshape((28, 28, 1))(plane)  # → 28×28×1
    else:
        plane = layers.Reshape((1, 1, CLASSES))(_one_hot(label))
        plane = layers.UpSampling2D(28)(plane)  # → 28×28×10
    x = layers.Concatenate()([image, plane])  # → 28×28×2, or 28×28×11
    features = _convolutions(x, batch_norm, slope)
    logit = layers.Dense(1, dtype="float32")(features)
    return keras.Model([image, label], logit, name="discriminator")


def build_acgan_discriminator(batch_norm: bool = True, slope: float = 0.01) -> keras.Model:
    """Image to logits: n×28×28×1 in [-1, 1] to n×1, of "real", and n×10, of the classes.

    This discriminator is not given the label, it predicts it (Odena et al. 2017). In all else it is
    `build_discriminator`, whose `batch_norm` and `slope` it has.
    """
    image = keras.Input((28, 28, 1), name="image")
    features = _convolutions(image, batch_norm, slope)
    real = layers.Dense(1, dtype="float32", name="real")(features)
    label = layers.Dense(CLASSES, dtype="float32", name="label")(features)
    return keras.Model(image, [real, label], name="discriminator")


def _check(condition):
    if condition not in CONDITIONS:
        raise ValueError(f"condition must be one of {CONDITIONS}, not {condition!r}")


def _one_hot(label):
    return layers.CategoryEncoding(CLASSES, output_mode="one_hot")(label)


def _convolutions(x, batch_norm, slope):
    x = layers.Conv2D(64, 3, strides=2, padding="same")(x)  # 28×28 → 14×14×64
    x = layers.LeakyReLU(negative_slope=slope)(x)
    for filters in (64, 128):  # → 7×7×64 → 4×4×128
        x = layers.Conv2D(filters, 3, strides=2, padding="same")(x)
        x = layers.BatchNormalization()(x) if batch_norm else x
        x = layers.LeakyReLU(negative_slope=slope)(x)
    return layers.Flatten()(x)  # → 2048
