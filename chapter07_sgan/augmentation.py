"""Data augmentation: random shifts of the real images, for `quick`."""

import keras

from common import random_layers


def build_augmentation(shift: int) -> keras.Model:
    """Images to images, n×28×28×1 in [-1, 1]: each is moved by up to `shift` pixels.

    A shifted digit keeps its class. Convolutions know that by themselves, dense layers do not.
    """
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            random_layers.RandomTranslation(
                shift / 28,
                shift / 28,
                fill_mode="constant",
                fill_value=-1.0,  # black
                interpolation="nearest",  # by whole pixels
                dtype="float32",
            ),
        ],
        name="augmentation",
    )
