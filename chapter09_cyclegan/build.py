"""The networks and the model that the settings of train.py ask for."""

from chapter09_cyclegan import augmentation, networks
from chapter09_cyclegan.cyclegan import CycleGAN
from chapter09_cyclegan.discogan import DiscoGAN
from chapter09_cyclegan.paper import PaperCycleGAN


def build_model(config, image_shape: tuple[int, int, int]) -> CycleGAN:
    """The book's model, or a variant if the settings ask for more, with its four networks.

    Args:
        config: `train.Settings`.
        image_shape: height, width, channels of the training images.
    """
    channels = image_shape[-1]
    g_AB, g_BA = build_generator(config, channels), build_generator(config, channels)
    d_A, d_B = build_discriminator(config, channels), build_discriminator(config, channels)
    settings = {
        "lambda_cycle": config.lambda_cycle,
        "lambda_identity": config.lambda_identity,
        "augmentation": getattr(augmentation, config.augmentation, None),
        "seed": config.seed,
    }
    if config.model == "cyclegan" and config.separate_updates and not config.pool_size:
        return CycleGAN(g_AB, g_BA, d_A, d_B, **settings)
    variant = DiscoGAN if config.model == "discogan" else PaperCycleGAN
    return variant(
        g_AB,
        g_BA,
        d_A,
        d_B,
        image_shape=image_shape,
        pool_size=config.pool_size,
        separate_updates=config.separate_updates,
        **settings,
    )


def build_generator(config, channels: int):
    if config.generator == "unet":
        return networks.build_unet(channels, config.generator_filters)
    blocks = 9 if config.size >= 256 else 6  # as in the paper
    return networks.build_resnet(channels, config.generator_filters, blocks)


def build_discriminator(config, channels: int):
    paper = config.generator == "resnet"
    return networks.build_discriminator(channels, config.discriminator_filters, config.patch, paper)
