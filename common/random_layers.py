"""Dropout and the like as a function of seed and iteration, so that a run can be resumed.

The layers are Keras'. On several devices each replica applies its part of what is drawn for the
global batch.
"""

import keras
import tensorflow as tf
from keras import layers

from common.distribution import draw, replicas


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


# Which layers of Keras take the place of these in networks that are saved.
OF_KERAS = {
    Dropout: layers.Dropout,
    GaussianNoise: layers.GaussianNoise,
}
