"""The networks and the model that the settings of train.py ask for."""

from chapter09_cyclegan import augmentation, discogan_networks, networks
from chapter09_cyclegan.cyclegan import CycleGAN
from chapter09_cyclegan.discogan import DiscoGAN
from chapter09_cyclegan.paper import PaperCycleGAN
from common.batch_norm import fuse, unfuse

AUGMENTATIONS = {
    "none": None,
    "flip": augmentation.flip,
    "cut": augmentation.cut,
    "jitter": augmentation.jitter,
}


def build_model(config, image_shape: tuple[int, int, int]) -> CycleGAN:
    """The book's model, or a variant if the settings ask for more, with its four networks.

    Args:
        config: `train.Settings`.
        image_shape: height, width, channels of the training images.
    """
    channels = image_shape[-1]
    g_AB, g_BA = build_generator(config, channels), build_generator(config, channels)
    d_A, d_B = build_discriminator(config, image_shape), build_discriminator(config, image_shape)
    settings = {
        "lambda_cycle": config.lambda_cycle,
        "lambda_identity": config.lambda_identity,
        "augmentation": AUGMENTATIONS[config.augmentation],
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
    """Images to images, n×height×width×channels in [-1, 1]: the one that `--generator` names."""
    if config.generator == "encoder-decoder":
        return fuse(discogan_networks.build_generator(channels, config.generator_filters))
    if config.generator == "unet":
        return networks.build_unet(channels, config.generator_filters)
    blocks = 9 if config.size >= 256 else 6  # as in the paper
    return networks.build_resnet(channels, config.generator_filters, blocks)


def build_discriminator(config, image_shape: tuple[int, int, int]):
    """Images, n×height×width×channels in [-1, 1], to scores, n×h×w×1: that of the generator."""
    if config.generator == "encoder-decoder":
        return discogan_networks.build_discriminator(image_shape, config.discriminator_filters)
    paper = config.generator == "resnet"
    return networks.build_discriminator(
        image_shape[-1], config.discriminator_filters, config.patch, paper
    )


def trained_networks(gan: CycleGAN, config) -> dict:
    """The four networks by name, of Keras' layers alone: files of them need none of our code."""
    plain = unfuse if config.generator == "encoder-decoder" else lambda network: network
    return {
        "g_AB": plain(gan.g_AB),
        "g_BA": plain(gan.g_BA),
        "d_A": gan.d_A,
        "d_B": gan.d_B,
    }
