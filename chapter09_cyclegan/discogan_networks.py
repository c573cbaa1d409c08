"""The networks of DiscoGAN (Kim et al. 2017, section 3, and the authors' code)."""

import keras
from keras import layers


def build_generator(channels: int = 3, filters: int = 64) -> keras.Model:
    """An encoder and a decoder: n×height×width×channels in [-1, 1] to the same in (-1, 1).

    Four halvings of the size and four doublings, without the skip connections of a U-Net. So no
    outline is passed on: what the decoder makes, it makes from what the encoder says of the
    original. Height and width are multiples of 16.

    The normalisation is over the batch, as in the paper; CycleGAN's is over each image's pixels.

    Args:
        filters: of the first convolution; 64 in the paper.
    """
    x = image = keras.Input((None, None, channels))
    for number in range(4):  # 32×32 → 16×16×64 → 8×8×128 → 4×4×256 → 2×2×512
        x = layers.Conv2D(filters * 2**number, 4, strides=2, padding="same")(x)
        if number > 0:
            x = layers.BatchNormalization()(x)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
    for number in (2, 1, 0):  # → 4×4×256 → 8×8×128 → 16×16×64
        x = layers.Conv2DTranspose(filters * 2**number, 4, strides=2, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
    x = layers.Conv2DTranspose(channels, 4, strides=2, padding="same")(x)  # → 32×32×1
    # In mixed precision too, what leaves a network is float32.
    translated = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(image, translated, name="generator")


def build_discriminator(image_shape: tuple[int, int, int], filters: int = 64) -> keras.Model:
    """Images in [-1, 1], n×height×width×channels, to one logit for each whole image, n×1.

    A PatchGAN judges patches. This one sees whether a shape as a whole is a bag's. The authors'
    has batch normalisation; this one sees real and generated images in one batch, and would know
    them apart by the statistics of both together.

    Args:
        image_shape: height and width, multiples of 16, and channels.
        filters: of the first convolution; 64 in the paper.
    """
    x = image = keras.Input(image_shape)
    for number in range(4):  # 32×32 → 16×16×64 → 8×8×128 → 4×4×256 → 2×2×512
        x = layers.Conv2D(filters * 2**number, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
    logit = layers.Dense(1, dtype="float32")(layers.Flatten()(x))
    return keras.Model(image, logit, name="discriminator")
