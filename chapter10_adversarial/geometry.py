"""Distances, directions and odds: what the attacks are made of."""

import math

import tensorflow as tf

# How far is the largest change of a value, or the root of the sum of all their squares.
NORMS = {"inf": "inf", math.inf: "inf", "2": "2", 2: "2"}


def margin(logits, labels) -> tf.Tensor:
    """By how much the best other class exceeds the class of the label: above 0, and it is missed.

    Args:
        logits: n×K.
        labels: n.

    Returns:
        float32, n.
    """
    others, own = _others_and_own(logits, labels)
    return tf.reduce_max(others, axis=1) - own


def log_odds(logits, labels) -> tf.Tensor:
    """log((1 - p) / p) of the label's probability p: what the attacks climb; float32, n.

    Cross-entropy is the softplus of it, so both have gradients of the same direction. But the
    share of the label's own logit in cross-entropy's, 1 - p, is rounded to 0 in float32 where a
    classifier is sure (from odds of e¹⁷ on), and then a step no longer pushes that logit down.
    """
    others, own = _others_and_own(logits, labels)
    return tf.reduce_logsumexp(others, axis=1) - own


def _others_and_own(logits, labels):
    """Logits, n×K, with that of the label out of the way; and that, n."""
    logits = tf.cast(logits, tf.float32)
    own = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    others = tf.where(own, logits.dtype.min, logits)
    return others, tf.reduce_sum(tf.where(own, logits, 0.0), axis=1)


def ball(images, epsilon, low, high, norm):
    """What keeps changed images within epsilon of the images, and within the bounds low and high.

    Rounding could put a value past epsilon by its last bit; here it goes towards the image.

    Args:
        epsilon: broadcasts with the images.

    Returns:
        A function of changed images that gives allowed ones: for L∞ the nearest, for L2 those on
        the way to the image.
    """

    def towards(values, exact):
        """Values, exact in float64, as float32; and no further from the images than they were."""
        too_far = tf.abs(tf.cast(values, tf.float64) - exact_images) > tf.abs(exact - exact_images)
        return tf.where(too_far, tf.math.nextafter(values, images), values)

    exact_images = tf.cast(images, tf.float64)
    if norm == "inf":
        exact_epsilon = tf.cast(epsilon, tf.float64)
        lowest, highest = exact_images - exact_epsilon, exact_images + exact_epsilon
        low = tf.maximum(low, towards(tf.cast(lowest, tf.float32), lowest))
        high = tf.minimum(high, towards(tf.cast(highest, tf.float32), highest))
        return lambda changed: tf.clip_by_value(changed, low, high)

    def inwards(changed):
        change = changed - images
        # A little less than epsilon, as the product is rounded too.
        change *= tf.minimum(1.0, (1 - 1e-6) * tf.math.divide_no_nan(epsilon, length(change)))
        exact = exact_images + tf.cast(change, tf.float64)
        return tf.clip_by_value(towards(images + change, exact), low, high)

    return inwards


def random_point(images, epsilon, norm, seed):
    """Uniform in the ball around each image."""
    shape = tf.shape(images)
    if norm == "inf":
        return images + epsilon * tf.random.stateless_uniform(shape, seed, -1, 1, alg="philox")
    seeds = tf.random.split(seed, 2)
    direction = unit(tf.random.stateless_normal(shape, seeds[0], alg="philox"), norm)
    # Most of a ball of many dimensions is near its surface.
    share = tf.random.stateless_uniform((shape[0], 1, 1, 1), seeds[1], alg="philox")
    dimensions = tf.cast(tf.reduce_prod(shape[1:]), tf.float32)
    return images + epsilon * direction * share ** (1 / dimensions)


def unit(direction, norm):
    """The longest step that the norm allows, to a length of 1, in a direction; 0 stays 0."""
    if norm == "inf":
        return tf.sign(direction)
    return tf.math.divide_no_nan(direction, length(direction))


def length(change):
    """L2, n×1×1×1."""
    squares = tf.reduce_sum(tf.square(tf.cast(change, tf.float64)), axis=(1, 2, 3), keepdims=True)
    return tf.cast(tf.sqrt(squares), tf.float32)


def name_of(norm):
    """ "inf" or "2"; a ValueError if it is neither."""
    if norm not in NORMS:
        raise ValueError(f"norm {norm!r} is not 'inf' or '2'")
    return NORMS[norm]
