"""How attacks are called: checked, compiled, and so many images at a time."""

import math

import numpy as np
import tensorflow as tf


def compile_attack(attack, logits, shape, *settings):
    """The attack on any number of images of this shape; and how many classes the classifier has."""
    tried = tf.convert_to_tensor(logits(tf.zeros((1, *shape))))
    classes = tried.shape
    if len(classes) != 2 or classes[1] < 2:
        raise ValueError(f"the classifier gives {classes} for one image, not 1×K, K at least 2")
    if tf.executing_eagerly() and _are_probabilities(tried):
        raise ValueError(
            "the classifier gives probabilities, not logits: leave out its softmax, as with "
            "model.layers[-1].activation = keras.activations.linear"
        )
    bound = tf.TensorSpec(())
    signature = [
        tf.TensorSpec((None, *shape)),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None, 1, 1, 1)),
        bound,
        bound,
        tf.TensorSpec((2,), tf.int32),
        *(tf.TensorSpec((), dtype) for dtype in settings),
    ]
    compiled = tf.function(attack, input_signature=signature)
    return compiled.get_concrete_function(), classes[1]


def in_batches(compiled, batch_size, images, labels, epsilon, bounds, seed, *settings):
    """Checks what an attack is given, and calls it for so many images at a time."""
    attack, classes = compiled
    check_counts(batch_size=batch_size)
    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer or labels.shape.rank != 1:
        raise ValueError(f"labels must be n whole numbers, not {labels.dtype.name} {labels.shape}")
    labels = tf.cast(labels, tf.int32)
    # To the nearest float32, as the images: what lies on a bound stays there.
    low, high = (tf.cast(bound, tf.float32) for bound in bounds)
    epsilon = tf.reshape(_round_down(epsilon), (-1, 1, 1, 1))
    seed = tf.cast(seed, tf.int32)
    n = images.shape[0]
    if tf.executing_eagerly():  # otherwise their values are not known yet
        if len(labels) != n:
            raise ValueError(f"{n} images but {len(labels)} labels")
        if n and not 0 <= tf.reduce_min(labels) <= tf.reduce_max(labels) < classes:
            raise ValueError(f"labels must be 0 to {classes - 1}, as the classifier has classes")
        if not tf.reduce_all((epsilon >= 0) & tf.math.is_finite(epsilon)):
            raise ValueError("epsilon must be a number of at least 0")
        if len(epsilon) not in (1, n):
            raise ValueError(f"{n} images but {len(epsilon)} epsilons")
        if not tf.reduce_all((images >= low) & (images <= high)):  # NaN is not either
            raise ValueError(f"images lie outside the bounds, {bounds[0]} to {bounds[1]}")
        if seed.shape != (2,):
            raise ValueError("seed must be two whole numbers")
    if n is None or n <= batch_size:
        return attack(images, labels, epsilon, low, high, seed, *settings)
    epsilon = tf.broadcast_to(epsilon, (n, 1, 1, 1))
    parts = []
    for number, start in enumerate(range(0, n, batch_size)):
        part = slice(start, start + batch_size)
        own_seed = tf.random.experimental.stateless_fold_in(seed, number)
        given = (images[part], labels[part], epsilon[part], low, high, own_seed)
        parts.append(attack(*given, *settings))
    return tf.concat(parts, axis=0)


def as_images(images):
    """Images of any type as a float32 tensor; a ValueError if they are no n×h×w×c."""
    images = tf.cast(tf.convert_to_tensor(images), tf.float32)
    if images.shape.rank != 4:
        raise ValueError(f"images must be n×height×width×channels, not {images.shape}")
    return images


def check_counts(**counts):
    """Raises a ValueError for what is less than 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} {count} is less than 1")


def _are_probabilities(logits):
    logits = tf.cast(logits, tf.float32)
    return bool(tf.reduce_all(logits >= 0)) and abs(float(tf.reduce_sum(logits)) - 1) < 1e-3


def _round_down(number):
    """As float32, or where that would be more, the next smaller one: epsilon never grows."""
    if tf.is_tensor(number) and not tf.executing_eagerly():
        return tf.cast(number, tf.float32)
    exact = np.asarray(number, np.float64)
    rounded = exact.astype(np.float32)
    smaller = np.nextafter(rounded, np.float32(-math.inf))
    return tf.constant(np.where(rounded > exact, smaller, rounded))
