"""Dropout and the like as a function of seed and iteration, so that a run can be resumed.

The layers are Keras'. On several devices each replica applies its part of what is drawn for the
global batch.
"""

import keras
import tensorflow as tf
from keras import layers

from common.distribution import draw, replicas, shard


def set_random_layers(model: keras.Model, seed: int, iteration) -> None:
    """Sets the state of a model's random layers (Dropout, GaussianNoise, …) by seed and iteration.

    Each such layer counts in a variable how often it has drawn, and Keras does not save that
    variable. Called at the beginning of each training step, this makes the step a function of seed
    and iteration, so that a run can be repeated and resumed.

    Args:
        model: its layers' random states are overwritten.
        seed: from 0.
        iteration: a whole number or a scalar tensor, from 0.
    """
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    for number, state in enumerate(states, start=1):
        # No two layers draw the same numbers, and no layer those of `model.normal_noise`, whose
        # seed is (seed, iteration).
        first = seed * (len(states) + 1) + number
        # A layer may draw several times in an iteration: its counter goes up from here.
        second = tf.cast(iteration, tf.int64) * 100
        state.assign(tf.cast(tf.stack([first, second]), state.dtype))


class Dropout(layers.Dropout):
    """Keras' layer, whose random numbers are this replica's shard of the batch's."""

    def call(self, inputs, training=False):
        if replicas() == 1 or not training:
            return super().call(inputs, training)
        dropped = draw(
            lambda shape: layers.Dropout.call(self, tf.ones(shape, inputs.dtype), True),
            tf.shape(inputs),
        )
        return inputs * dropped


class GaussianNoise(layers.GaussianNoise):
    """Keras' layer, whose random numbers are this replica's shard of the batch's."""

    def call(self, inputs, training=False):
        if replicas() == 1 or not training:
            return super().call(inputs, training)
        noise = draw(
            lambda shape: layers.GaussianNoise.call(self, tf.zeros(shape, inputs.dtype), True),
            tf.shape(inputs),
        )
        return inputs + noise


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


# Of networks that are saved, which have no layers that change images.
OF_KERAS = {
    Dropout: layers.Dropout,
    GaussianNoise: layers.GaussianNoise,
}
