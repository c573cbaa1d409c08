"""The networks of chapter 9 (GANs in Action, chapter 9), and those of the CycleGAN paper.

All end in convolutions or in a mean over all positions, so one network takes images of any size
that its strides divide.
"""

import keras
from keras import layers, ops

# Strides of a discriminator's convolutions, by the size of the patch that one of its scores sees.
PATCHES = {94: (2, 2, 2, 2), 70: (2, 2, 2, 1), 34: (2, 2, 1), 16: (2, 1)}


def paper_weights():
    """The paper's initializer. A new one for each layer: one object gives all the same weights."""
    return keras.initializers.RandomNormal(stddev=0.02)


def instance_norm(x, epsilon: float = 1e-3):
    """Each channel of each image, normalised over its pixels, with a learned scale and offset.

    That is group normalisation with a group for each channel, `groups=-1`. With `groups=1`, which
    is also published as instance normalisation, and by keras_contrib's default, the channels of an
    image share one mean.

    Args:
        epsilon: added to the variance; keras_contrib's value, as in the book.
    """
    return layers.GroupNormalization(groups=-1, epsilon=epsilon)(x)


def build_unet(channels: int = 3, filters: int = 32) -> keras.Model:
    """The book's generator: n×height×width×channels to the same, in (-1, 1).

    A U-Net: four halvings of the size and four doublings, whose skip connections pass on where the
    image's edges are. Height and width are multiples of 16 and at least 32: of 16, a single pixel
    would be left at the bottom, and instance normalisation turns any value of it into the same.
    """

    def down(x, filters):
        x = layers.Conv2D(filters, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
        return instance_norm(x)

    def up(x, skip, filters):
        # Transposed convolutions would leave a checkerboard; enlarging, then convolving does not.
        x = layers.UpSampling2D(2)(x)
        x = layers.Conv2D(filters, 4, padding="same", activation="relu")(x)
        x = instance_norm(x)
        return layers.Concatenate()([x, skip])

    image = keras.Input((None, None, channels))
    d1 = down(image, filters)  # 128×128 → 64×64×32
    d2 = down(d1, filters * 2)  # → 32×32×64
    d3 = down(d2, filters * 4)  # → 16×16×128
    d4 = down(d3, filters * 8)  # → 8×8×256
    u1 = up(d4, d3, filters * 4)  # → 16×16×256
    u2 = up(u1, d2, filters * 2)  # → 32×32×128
    u3 = up(u2, d1, filters)  # → 64×64×64
    x = layers.UpSampling2D(2)(u3)  # → 128×128×64
    x = layers.Conv2D(channels, 4, padding="same")(x)  # → 128×128×3
    # In mixed precision too, what leaves a network is float32.
    translated = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(image, translated, name="generator")


def build_resnet(channels: int = 3, filters: int = 64, blocks: int = 9) -> keras.Model:
    """The paper's generator: images to images of the same size, in (-1, 1).

    Images are n×height×width×channels; height and width are multiples of 4.

    Two halvings of the size, residual blocks, two doublings (Zhu et al. 2017, section 7.2, after
    Johnson et al. 2016). Where the size stays, borders are mirrored rather than filled with zeros.

    Args:
        blocks: 6 for images of 128×128, 9 from 256×256 on.
    """

    def convolve(x, filters, size, strides=1):
        if strides == 1:
            border = size // 2
            x = ops.pad(x, ((0, 0), (border, border), (border, border), (0, 0)), mode="reflect")
        padding = "valid" if strides == 1 else "same"
        return layers.Conv2D(
            filters, size, strides, padding=padding, kernel_initializer=paper_weights()
        )(x)

    def block(x, filters, size, strides=1):
        return layers.ReLU()(instance_norm(convolve(x, filters, size, strides), 1e-5))

    image = keras.Input((None, None, channels))
    x = block(image, filters, 7)  # 256×256 → 256×256×64
    x = block(x, filters * 2, 3, strides=2)  # → 128×128×128
    x = block(x, filters * 4, 3, strides=2)  # → 64×64×256
    for _ in range(blocks):
        y = block(x, filters * 4, 3)
        y = instance_norm(convolve(y, filters * 4, 3), 1e-5)
        x = layers.Add()([x, y])
    for width in (filters * 2, filters):  # → 128×128×128 → 256×256×64
        # The paper has transposed convolutions here; those leave a checkerboard.
        x = block(layers.UpSampling2D(2)(x), width, 3)
    x = convolve(x, channels, 7)
    translated = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(image, translated, name="generator")


def build_discriminator(
    channels: int = 3, filters: int = 64, patch: int = 94, paper: bool = False
) -> keras.Model:
    """A PatchGAN: n×height×width×channels in [-1, 1] to a map of scores, n×h×w×1.

    Each score is of one patch×patch pixels, the receptive field of its convolutions. The rest of
    the image enters through the statistics of instance normalisation alone.

    Args:
        patch: 94, the book's, whose map of a 128×128 image is 8×8; 70, the paper's; 34 or 16 for
            smaller images.
        paper: with the paper's initial weights, and its instance normalisation before the
            activation; the book has Keras' default, and normalises after the activation.
    """
    weights = paper_weights if paper else keras.initializers.GlorotUniform  # Keras' default
    x = image = keras.Input((None, None, channels))
    for number, strides in enumerate(PATCHES[patch]):  # 128×128 → 64×64×64 → … → 8×8×512
        x = layers.Conv2D(
            filters * 2**number, 4, strides, padding="same", kernel_initializer=weights()
        )(x)
        if paper and number > 0:
            x = instance_norm(x, 1e-5)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
        if not paper and number > 0:
            x = instance_norm(x)
    x = layers.Conv2D(1, 4, padding="same", kernel_initializer=weights())(x)  # → 8×8×1
    scores = layers.Activation("linear", dtype="float32")(x)
    return keras.Model(image, scores, name="discriminator")


def build_classifier(channels: int = 3) -> keras.Model:
    """For the evaluation: images in [-1, 1], n×h×w×channels, to the logit of domain B, n×1."""
    exact = {"dtype": "float32"}  # what is measured must not depend on the precision of a run
    x = image = keras.Input((None, None, channels))
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, **exact)(x)
        x = layers.BatchNormalization(momentum=0.9, **exact)(x)
        x = layers.ReLU(**exact)(x)
        x = layers.MaxPooling2D(**exact)(x)
    x = layers.GlobalAveragePooling2D(**exact)(x)
    x = layers.Dropout(0.3, **exact)(x)
    return keras.Model(image, layers.Dense(1, **exact)(x), name="classifier")
