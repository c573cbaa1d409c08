"""Exponential moving averages (EMA) of a network's weights."""

import tensorflow as tf


def early_decay(decay: float, updates) -> tf.Tensor:
    """The decay for an average's nth update, from 1: at most n / (9 + n).

    As in `tf.train.ExponentialMovingAverage`, which counts from 0. With `decay` from the first on,
    the average would long be that of the initial weights.
    """
    n = tf.cast(updates, "float32")
    return tf.minimum(decay, n / (9 + n))


def update_averages(averages, weights, decay) -> None:
    """Moves each average towards its weight: average ← decay · average + (1 - decay) · weight.

    Args:
        averages, weights: variables, of the same shapes in the same order.
        decay: from 0 to 1.
    """
    for average, weight in zip(averages, weights, strict=True):
        average.assign(weight + decay * (average - weight))
