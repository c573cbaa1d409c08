"""Data augmentation: random changes of the real images that keep a digit's class."""

import keras

from common import random_layers


def build_augmentation(shift: int, rotation: float = 0.0, zoom: float = 0.0) -> keras.Model:
    """Images to images, n×28×28×1 in [-1, 1]: each is changed by random amounts of its own.

    Args:
        shift: largest, in pixels, up or down and left or right.
        rotation: largest, in degrees, either way.
        zoom: largest, as a share of the size, larger or smaller.

    A shifted digit keeps its class. Convolutions know that by themselves, dense layers do not.
    """
    black = {"fill_mode": "constant", "fill_value": -1.0, "dtype": "float32"}
    changes = []
    if rotation:
        changes.append(random_layers.RandomRotation(rotation / 360, **black))
    if zoom:
        changes.append(random_layers.RandomZoom(zoom, **black))
    if shift:
        whole_pixels = {"interpolation": "nearest"}
        changes.append(
            random_layers.RandomTranslation(shift / 28, shift / 28, **whole_pixels, **black)
        )
    return keras.Sequential([keras.Input((28, 28, 1)), *changes], name="augmentation")
