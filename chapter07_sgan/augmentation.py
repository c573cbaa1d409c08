"""Data augmentation: random changes of the real images that keep a digit's class."""

import keras
import tensorflow as tf
from keras import layers

from common.distribution import replicas, shard


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
        changes.append(RandomRotation(rotation / 360, **black))
    if zoom:
        changes.append(RandomZoom(zoom, **black))
    if shift:
        share = shift / 28
        changes.append(RandomTranslation(share, share, interpolation="nearest", **black))
    return keras.Sequential([keras.Input((28, 28, 1)), *changes], name="augmentation")


class RandomTranslation(layers.RandomTranslation):
    """Keras' layer, whose random numbers are this replica's shard of the batch's."""

    def get_random_transformation(self, data, training=True, seed=None):
        drawn = super().get_random_transformation
        return _shard_of_changes(drawn, ["translations"], data, training, seed)


class RandomRotation(layers.RandomRotation):
    """Keras' layer, whose random numbers are this replica's shard of the batch's."""

    def get_random_transformation(self, data, training=True, seed=None):
        drawn = super().get_random_transformation
        return _shard_of_changes(drawn, ["angle", "rotation_matrix"], data, training, seed)


class RandomZoom(layers.RandomZoom):
    """Keras' layer, whose random numbers are this replica's shard of the batch's."""

    def get_random_transformation(self, data, training=True, seed=None):
        drawn = super().get_random_transformation
        return _shard_of_changes(drawn, ["height_zoom", "width_zoom"], data, training, seed)


def _shard_of_changes(drawn, names, images, training, seed):
    """What one of Keras' layers draws to change images, for this replica's shard of the batch.

    Args:
        drawn: the layer's `get_random_transformation`, which gives a dictionary.
        names: in it, of what is drawn for each image.
        images: the shard, n×height×width×channels.
        training, seed: as Keras passes them.
    """
    if replicas() == 1 or not training:
        return drawn(images, training, seed)
    count, *size = tf.unstack(tf.shape(images))
    of_batch = drawn(tf.zeros((count * replicas(), *size)), training, seed)
    return of_batch | {name: shard(of_batch[name]) for name in names}
