"""The two networks that grow (GANs in Action, section 6.2.1; Karras et al. 2018, table 2).

Level 0 makes and judges images of 4×4, level 1 of 8×8, and so on. All layers of all levels are
built at once; a level uses those up to its own, so what was learned at a smaller size goes on being
trained at the next.
"""

import math

import keras
from keras import layers

from chapter06_progan.layers import (
    EqualizedConv2D,
    EqualizedDense,
    MinibatchDeviation,
    double,
    fade_in,
    halve,
    pixel_norm,
)
from chapter06_progan.levels import filters_of, size_of


class PixelNorm(layers.Layer):
    """`pixel_norm` as a layer."""

    def call(self, features):
        return pixel_norm(features)


class Generator(keras.Model):
    """Noise to images: n×latent_dim, normal, to n×size×size×channels, linear.

    The paper's last layer is linear: the discriminator keeps images near [-1, 1], and what lies
    outside is cut off in pictures.

    Args:
        levels: how many.
        latent_dim: size of the noise.
        channels: of the images.
        total_filters, most_filters: see `levels.filters_of`.
        equalized: equalised learning rate.
        normalized: pixel-wise feature normalisation.
    """

    def __init__(
        self,
        levels: int,
        latent_dim: int = 512,
        channels: int = 3,
        *,
        total_filters: int = 16_384,
        most_filters: int = 512,
        equalized: bool = True,
        normalized: bool = True,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # images are mixed by `fade` in float32
        self.latent_dim = latent_dim

        def activate():
            return [layers.LeakyReLU(0.2), *([PixelNorm()] if normalized else [])]

        def convolution(filters):
            return [EqualizedConv2D(filters, equalized=equalized), *activate()]

        self.blocks, self.to_images = [], []
        below = 0  # features of the level below
        for level in range(levels):
            filters = filters_of(level, total_filters, most_filters)
            if level == 0:
                dense = EqualizedDense(16 * filters, gain=math.sqrt(2) / 4, equalized=equalized)
                begin = [dense, layers.Reshape((4, 4, filters)), *activate()]
            else:
                begin = convolution(filters)
            self.blocks.append(keras.Sequential([*begin, *convolution(filters)]))
            # In mixed precision too, what leaves a network is float32.
            self.to_images.append(
                EqualizedConv2D(channels, size=1, gain=1.0, equalized=equalized, dtype="float32")
            )
            size = size_of(level)
            self.blocks[-1].build((None, size, size, below) if level else (None, latent_dim))
            self.to_images[-1].build((None, size, size, filters))
            below = filters
        self.built = True  # all weights are made

    def call(self, noise, *, level: int, fade=None, training=False):
        """Images of a level.

        Args:
            level: from 0.
            fade: how far the level is faded in, from 0 to 1, a scalar; None for wholly.
            training: whether it is a step of training; Keras tells all layers that are called here.
        """
        features = self.blocks[0](pixel_norm(noise))  # 4×4
        if level == 0:
            return self.to_images[0](features)
        for block in self.blocks[1:level]:
            features = block(double(features))
        images = self.to_images[level](self.blocks[level](double(features)))
        if fade is None:
            return images
        return fade_in(double(self.to_images[level - 1](features)), images, fade)

    def variables_of(self, level: int, fading: bool) -> list[keras.Variable]:
        """The weights that make a level's images."""
        used = [*self.blocks[: level + 1], *self.to_images[level - fading : level + 1]]
        return [variable for part in used for variable in part.trainable_variables]


class Discriminator(keras.Model):
    """Images to a score: n×size×size×channels to n×1, high for real ones. The paper's critic.

    Args:
        levels, channels, total_filters, most_filters, equalized: as the generator's.
        deviation: mini-batch standard deviation.
    """

    def __init__(
        self,
        levels: int,
        channels: int = 3,
        *,
        total_filters: int = 16_384,
        most_filters: int = 512,
        equalized: bool = True,
        deviation: bool = True,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)

        def convolution(filters, size=3):
            return [EqualizedConv2D(filters, size, equalized=equalized), layers.LeakyReLU(0.2)]

        self.blocks, self.from_images = [], []
        for level in range(levels):
            filters = filters_of(level, total_filters, most_filters)
            self.from_images.append(keras.Sequential(convolution(filters, size=1)))
            if level == 0:
                block = [
                    *([MinibatchDeviation()] if deviation else []),
                    *convolution(filters),
                    layers.Flatten(),
                    EqualizedDense(filters, equalized=equalized),
                    layers.LeakyReLU(0.2),
                    EqualizedDense(1, gain=1.0, equalized=equalized, dtype="float32"),
                ]
            else:
                halved = filters_of(level - 1, total_filters, most_filters)
                block = [*convolution(filters), *convolution(halved), layers.AveragePooling2D(2)]
            self.blocks.append(keras.Sequential(block))
            size = size_of(level)
            self.from_images[-1].build((None, size, size, channels))
            self.blocks[-1].build((None, size, size, filters))
        self.built = True  # all weights are made

    def call(self, images, *, level: int, fade=None, training=False):
        """Scores of a level's images; `fade` and `training` as in `Generator.call`."""
        features = self.from_images[level](images)
        if level > 0:
            features = self.blocks[level](features)
            if fade is not None:
                features = fade_in(self.from_images[level - 1](halve(images)), features, fade)
            for block in reversed(self.blocks[1:level]):
                features = block(features)
        return self.blocks[0](features)

    def variables_of(self, level: int, fading: bool) -> list[keras.Variable]:
        """The weights that a level's scores are computed with."""
        used = [*self.blocks[: level + 1], *self.from_images[level - fading : level + 1]]
        return [variable for part in used for variable in part.trainable_variables]
