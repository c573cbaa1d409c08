"""The networks and the model that the settings of train.py ask for, and what is saved of them."""

import keras
from keras import layers

from chapter06_progan.layers import EPSILON, EqualizedConv2D, EqualizedDense
from chapter06_progan.networks import Discriminator, Generator, PixelNorm
from chapter06_progan.progan import ProGAN
from chapter06_progan.style_networks import StyleGenerator
from chapter06_progan.stylegan import StyleGAN
from chapter06_progan.training_images import levels_of


def build_model(config, channels: int, total: int) -> ProGAN:
    """A compiled model.

    Args:
        config: `settings.Settings`.
        channels: of the images.
        total: training images of the whole run.
    """
    shared = {
        "total_filters": config.total_filters,
        "most_filters": config.most_filters,
        "equalized": config.equalized,
    }
    levels = levels_of(config.size)

    def build_generator():
        return Generator(
            levels, config.latent_dim, channels, normalized=config.pixel_norm, **shared
        )

    def build_style_generator():
        sizes = {key: shared[key] for key in ("total_filters", "most_filters")}
        slow, mapping_layers = config.mapping_rate, config.mapping_layers
        return StyleGenerator(
            levels, config.latent_dim, channels, slow=slow, mapping_layers=mapping_layers, **sizes
        )

    discriminator = Discriminator(levels, channels, deviation=config.minibatch_deviation, **shared)
    training = {"average": config.average, "seed": config.seed}
    if config.model == "stylegan":
        gan = StyleGAN(
            build_style_generator(),
            discriminator,
            build_style_generator(),
            r1=config.r1,
            mixing=config.mixing,
            **training,
        )
    else:
        gan = ProGAN(
            build_generator(),
            discriminator,
            build_generator(),
            gradient_penalty=config.gradient_penalty,
            drift=config.drift,
            **training,
        )

    def adam():  # no momentum, and a short memory for the squares; the paper's appendix A.1
        return keras.optimizers.Adam(config.learning_rate, 0.0, 0.99, epsilon=1e-8)

    gan.compile(adam(), adam(), decay=config.decay, total=total)
    return gan


def export(generator: Generator) -> keras.Model:
    """The last level's generator of Keras' own layers, which is read with none of our code.

    The scale of an equalised layer becomes a part of its kernel. Its images are the same, but for
    rounding, which is that of float32.
    """

    def normalize():  # a mean square of 1; its own scale stays 1
        return layers.RMSNormalization(epsilon=EPSILON, dtype="float32")

    noise = keras.Input((generator.latent_dim,))
    features = normalize()(noise)
    for number, block in enumerate(generator.blocks):
        if number:
            features = layers.UpSampling2D(2, interpolation="nearest", dtype="float32")(features)
        for layer in block.layers:
            features = plain(layer, normalize)(features)
    images = plain(generator.to_images[-1], normalize)(features)
    return keras.Model(noise, images, name="generator")


def plain(layer, normalize):
    """Keras' own layer that computes what a layer of the generator does, in float32."""
    float32 = {"dtype": "float32"}
    if isinstance(layer, PixelNorm):
        return normalize()
    if not isinstance(layer, EqualizedConv2D | EqualizedDense):
        return type(layer).from_config(layer.get_config() | float32)
    kernel = layer.kernel.numpy() * layer.scale
    if isinstance(layer, EqualizedConv2D):
        replacement = layers.Conv2D(layer.filters, layer.size, padding="same", **float32)
    else:
        replacement = layers.Dense(layer.units, **float32)
    replacement.build((None, *kernel.shape[:-1]))
    replacement.set_weights([kernel, layer.bias.numpy()])
    return replacement
