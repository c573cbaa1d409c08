"""The networks and the model that the settings of train.py ask for."""

import keras

from chapter06_progan.levels import levels_of
from chapter06_progan.networks import Discriminator, Generator
from chapter06_progan.progan import ProGAN
from chapter06_progan.style_networks import StyleGenerator
from chapter06_progan.stylegan import StyleGAN


def build_model(config, channels: int, total: int, xla: bool = False) -> ProGAN:
    """A compiled model.

    Args:
        config: `settings.Settings`.
        channels: of the images.
        total: training images of the whole run.
        xla: compile the training step with XLA.
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
        rate, mapping_layers = config.mapping_rate, config.mapping_layers
        return StyleGenerator(
            levels, config.latent_dim, channels, rate=rate, mapping_layers=mapping_layers, **sizes
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

    gan.compile(adam(), adam(), decay=config.decay, total=total, jit_compile=xla)
    return gan
