"""What the settings choose: the book's networks and optimisers, or what other presets have."""

import functools
from collections.abc import Callable

import keras

from chapter07_sgan import networks
from chapter07_sgan.augmentation import build_augmentation
from chapter07_sgan.feature_matching import FeatureMatchingSGAN
from chapter07_sgan.noisy_networks import (
    build_dense_discriminator,
    build_dense_generator,
    build_noisy_convolutional_discriminator,
)
from chapter07_sgan.pseudo_labels import PseudoLabelSGAN
from chapter07_sgan.sgan import SGAN
from common import optimizers
from common.batch_norm import fuse


def choose_generator(config) -> keras.Model:
    """A new generator: n×latent_dim to images, n×28×28×1 in [-1, 1]."""
    if config.networks != "convolutional":
        return build_dense_generator(config.latent_dim, config.synchronized_batch_norm)
    # `fuse`: the same network with a faster kernel for batch normalisation.
    return fuse(networks.build_generator(config.latent_dim), config.synchronized_batch_norm)


def choose_discriminator(config) -> keras.Model:
    """A new discriminator: images to logits, n×10, or n×11 with one for "fake" at the end."""
    outputs = networks.CLASSES if config.head == "k" else networks.CLASSES + 1
    if config.networks == "dense":
        return build_dense_discriminator(outputs)
    if config.networks == "noisy-convolutional":
        return build_noisy_convolutional_discriminator(outputs)
    discriminator = networks.build_discriminator(outputs, config.discriminator_batch_norm)
    return fuse(discriminator, config.synchronized_batch_norm)


def choose_augmentation(config) -> keras.Model | None:
    """The random changes of real images, if there are to be any."""
    if not config.augments:
        return None
    return build_augmentation(config.shift, config.rotation, config.zoom)


def choose_model(config) -> Callable[..., SGAN]:
    """The class of the GAN with its own settings; it takes the arguments of `SGAN`."""
    if not config.feature_matching:
        return SGAN
    kind, settings = FeatureMatchingSGAN, {"adversarial_weight": config.adversarial_weight}
    if config.pseudo_labels:
        kind = PseudoLabelSGAN
        settings |= {
            "weight": config.pseudo_labels,
            "confidence": config.confidence,
            "align": config.align_classes,
        }
    return functools.partial(kind, **settings)


def choose_optimizers(config) -> dict[str, keras.optimizers.Adam]:
    """What `compile` takes: an Adam for each kind of update, each with a learning rate of its own.

    The book's SGAN updates the discriminator twice an iteration with `d_optimizer`, on real and on
    generated images. With feature matching one update has all its losses.
    """

    def adam(learning_rate, updates):
        return optimizers.adam(learning_rate, config.beta_1, updates, config.learning_rate_decay)

    n = config.iterations
    if config.feature_matching:
        return {
            "d_optimizer": adam(config.discriminator_learning_rate, n),
            "g_optimizer": adam(config.generator_learning_rate, n),
        }
    return {
        "c_optimizer": adam(config.classifier_learning_rate, n),
        "d_optimizer": adam(config.discriminator_learning_rate, 2 * n),
        "g_optimizer": adam(config.generator_learning_rate, n),
    }
