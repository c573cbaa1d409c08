"""Data augmentation: random changes of the real images that keep a digit's class."""

import keras

from common import random_layers


def build_augmentation(shift: int, rotation: float = 0.0, zoom: float = 0.0) -> keras.Model:
    """Images to images, n×28×28×1 in [-1, 1]: each is changed by random amounts of its own.

    Rotation and zoom interpolate, and so blur a little; a shift is by whole pixels. What comes in
    at the edges is black.

    Args:
        shift: the largest, in pixels, up or down and left or right.
        rotation: the largest, in degrees, either way.
        zoom: the size is divided by a factor from 1 - zoom to 1 + zoom.
    """
    black = {"fill_mode": "constant", "fill_value": -1.0, "dtype": "float32"}
    changes = []
    if rotation:
        changes.append(random_layers.RandomRotation(rotation / 360, **black))
    if zoom:
        changes.append(random_layers.RandomZoom(zoom, **black))
    if shift:
        share = shift / 28
        changes.append(
            random_layers.RandomTranslation(share, share, interpolation="nearest", **black)
        )
    return keras.Sequential([keras.Input((28, 28, 1)), *changes], name="augmentation")
