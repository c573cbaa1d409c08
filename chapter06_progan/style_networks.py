"""The style-based generator (Karras et al. 2019, section 2 and table 1).

The first features are a learned constant, in place of the noise. A mapping network makes a style w
of the noise z, and each layer's features are scaled and shifted by what it reads from w
(AdaIN). Each layer also gets noise of its own for each pixel, for what is random in an image.

The discriminator is that of `networks.py`.
"""

import keras
from keras import layers, ops

from chapter06_progan.layers import (
    EPSILON,
    EqualizedConv2D,
    EqualizedDense,
    double,
    fade_in,
    pixel_norm,
)
from chapter06_progan.levels import filters_of, size_of


def instance_norm(features):
    """Features, n×h×w×c, each of which has the mean 0 and the variance 1 in each image."""
    exact = ops.cast(features, "float32")
    mean, variance = ops.moments(exact, axes=(1, 2), keepdims=True)
    return ops.cast((exact - mean) * ops.rsqrt(variance + EPSILON), features.dtype)


class AdaIN(layers.Layer):
    """Adaptive instance normalisation: equation 1 of the paper.

    Features, n×h×w×c, are normalised, and get a scale and a shift each from a style, n×w, by an
    equalised dense layer, the paper's learned affine transform. The scale is 1 plus what that
    gives, so that scales are 1 on average before training.
    """

    def build(self, features_shape, style_shape):
        self.affine = EqualizedDense(2 * features_shape[-1], gain=1.0)
        self.affine.build(style_shape)

    def call(self, features, style):
        scale, shift = ops.split(self.affine(style)[:, None, None], 2, axis=-1)
        return instance_norm(features) * (1 + scale) + shift


class AddNoise(layers.Layer):
    """Adds noise, n×h×w×1, times a learned weight for each feature, which begins at 0."""

    def build(self, features_shape, noise_shape):
        self.weight = self.add_weight((features_shape[-1],), "zeros", name="weight")

    def call(self, features, noise):
        return features + self.weight * ops.cast(noise, features.dtype)


class StyledLayer(layers.Layer):
    """Noise, LeakyReLU and style, after a convolution or, at the bottom, the constant."""

    def __init__(self, filters: int, convolve: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.convolution = EqualizedConv2D(filters) if convolve else None
        self.add_noise = AddNoise()
        self.activate = layers.LeakyReLU(0.2)
        self.adain = AdaIN()

    def build(self, features_shape, style_shape):
        if self.convolution:
            self.convolution.build(features_shape)
        shape = (*features_shape[:-1], self.filters)
        self.add_noise.build(shape, None)
        self.adain.build(shape, style_shape)

    def call(self, features, style, noise=None):
        if self.convolution:
            features = self.convolution(features)
        if noise is not None:
            features = self.add_noise(features, noise)
        return self.adain(self.activate(features), style)


class StyleGenerator(keras.Model):
    """Noise to images, by way of styles: n×latent_dim, normal, to n×size×size×channels, linear.

    Args:
        levels, latent_dim, channels, total_filters, most_filters: as `networks.Generator`'s.
        mapping_layers: of the mapping network.
        rate: learning rate of the mapping network, as a multiple of the others'.
    """

    def __init__(
        self,
        levels: int,
        latent_dim: int = 512,
        channels: int = 3,
        *,
        total_filters: int = 16_384,
        most_filters: int = 512,
        mapping_layers: int = 8,
        rate: float = 0.01,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.latent_dim = latent_dim

        self.mapping = keras.Sequential()
        for _ in range(mapping_layers):
            self.mapping.add(EqualizedDense(latent_dim, rate=rate))
            self.mapping.add(layers.LeakyReLU(0.2))
        self.mapping.build((None, latent_dim))
        # Follows the mean of the styles in training; truncation moves styles towards it.
        self.average_style = self.add_weight(
            (latent_dim,), "zeros", trainable=False, autocast=False, name="average_style"
        )
        style = (None, latent_dim)
        below = filters_of(0, total_filters, most_filters)
        # Of ones, as the authors' first code has it, it has no shape that instance normalisation
        # would leave, and the generator would have to find one first.
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.constant = self.add_weight((1, 4, 4, below), normal, name="constant")
        self.blocks, self.to_images = [], []
        for level in range(levels):
            size, filters = size_of(level), filters_of(level, total_filters, most_filters)
            block = [StyledLayer(filters, convolve=level > 0), StyledLayer(filters)]
            block[0].build((None, size, size, below), style)
            block[1].build((None, size, size, filters), style)
            self.blocks.append(block)
            self.to_images.append(EqualizedConv2D(channels, size=1, gain=1.0, dtype="float32"))
            self.to_images[-1].build((None, size, size, filters))
            below = filters
        self.built = True  # all weights are made

    def call(self, noise, *, level: int, fade=None, pixel_noise=None, training=False):
        """Images of a level: of one style each, or with `styles` and `synthesize`, of several.

        Args:
            level: from 0.
            fade: how far the level is faded in, from 0 to 1; None for wholly.
            pixel_noise: for each layer, n×h×w×1; None for no noise.
            training: whether it is a step of training.
        """
        styles = self.styles(noise, training=training)
        return self.synthesize([styles] * self.layers_of(level), level, fade, pixel_noise, training)

    @staticmethod
    def layers_of(level: int) -> int:
        """How many layers of a level's images have a style."""
        return 2 * (level + 1)

    def styles(self, noise, truncation: float = 1.0, training=False):
        """Styles w of noise z, n×latent_dim each.

        Args:
            truncation: how far from the average style they may be, the paper's ψ: 1 leaves them, 0
                is the average style.
            training: see `call`.
        """
        styles = ops.cast(self.mapping(pixel_norm(noise), training=training), "float32")
        return self.average_style + truncation * (styles - self.average_style)

    def synthesize(self, styles, level: int, fade=None, pixel_noise=None, training=False):
        """Images of styles.

        Args:
            styles: for each layer, n×latent_dim.
            level, fade, pixel_noise, training: see `call`.
        """
        pixel_noise = pixel_noise or [None] * len(styles)
        count = ops.shape(styles[0])[0]
        features = ops.broadcast_to(self.constant, (count, *self.constant.shape[1:]))
        for number, block in enumerate(self.blocks[: level + 1]):
            if number:
                former, features = features, double(features)
            for layer, style, noise in zip(
                block, styles[2 * number :], pixel_noise[2 * number :], strict=False
            ):
                features = layer(features, style, noise=noise, training=training)
        images = self.to_images[level](features, training=training)
        if fade is None:
            return images
        return fade_in(double(self.to_images[level - 1](former, training=training)), images, fade)

    def variables_of(self, level: int, fading: bool) -> list[keras.Variable]:
        """The weights that make a level's images."""
        used = [self.mapping, *self.to_images[level - fading : level + 1]]
        used += [layer for block in self.blocks[: level + 1] for layer in block]
        found = [variable for part in used for variable in part.trainable_variables]
        return [self.constant, *found]
