"""The images that an attack may give: a ball around each image, L∞ or L2, cut at the bounds."""

import math

import tensorflow as tf

from common import distribution


class LinfBall:
    """Images whose every value is within epsilon of the given image's.

    Args:
        images: float32, n×height×width×channels, within the bounds.
        epsilon: the radius, float32; broadcasts with the images.
        low, high: the bounds, float32.
    """

    def __init__(self, images, epsilon, low, high):
        self.images = images
        self.epsilon = epsilon
        exact_images, exact_epsilon = tf.cast(images, tf.float64), tf.cast(epsilon, tf.float64)
        lowest, highest = exact_images - exact_epsilon, exact_images + exact_epsilon
        self._low = tf.maximum(low, _round_towards(images, tf.cast(lowest, tf.float32), lowest))
        self._high = tf.minimum(high, _round_towards(images, tf.cast(highest, tf.float32), highest))

    def project(self, images):
        """The nearest images of the ball and the bounds; n×height×width×channels, as all here."""
        return tf.clip_by_value(images, self._low, self._high)

    def random_point(self, seed):
        """Uniform in the ball; the bounds are left to `project`."""
        shape = tf.shape(self.images)
        uniform = distribution.draw(tf.random.stateless_uniform, shape, seed, -1, 1, alg="philox")
        return self.images + self.epsilon * uniform

    def unit(self, direction):
        """The longest step of L∞ length 1 along a gradient: its sign. Of the images' shape."""
        return tf.sign(direction)


class L2Ball:
    """Images at a Euclidean distance of up to epsilon from the given image. Args: as `LinfBall`."""

    def __init__(self, images, epsilon, low, high):
        self.images = images
        self.epsilon = epsilon
        self._low = low
        self._high = high

    def project(self, images):
        """The images of the ball that lie on the way to its centre, then clipped to the bounds."""
        change = images - self.images
        # A little less than epsilon, as the product is rounded too.
        change *= tf.minimum(
            1.0, (1 - 1e-6) * tf.math.divide_no_nan(self.epsilon, _l2_length(change))
        )
        exact = tf.cast(self.images, tf.float64) + tf.cast(change, tf.float64)
        inside = _round_towards(self.images, self.images + change, exact)
        return tf.clip_by_value(inside, self._low, self._high)

    def random_point(self, seed):
        """Uniform in the ball; the bounds are left to `project`."""
        shape = tf.shape(self.images)
        seeds = tf.random.split(seed, 2)
        normal = distribution.draw(tf.random.stateless_normal, shape, seeds[0], alg="philox")
        direction = self.unit(normal)
        # The share of the volume within a radius is radius^dimensions; this is the inverse.
        numbers = tf.stack([shape[0], 1, 1, 1])
        volume = distribution.draw(tf.random.stateless_uniform, numbers, seeds[1], alg="philox")
        dimensions = tf.cast(tf.reduce_prod(shape[1:]), tf.float32)
        return self.images + self.epsilon * direction * volume ** (1 / dimensions)

    def unit(self, direction):
        """A direction of the images' shape, each image's scaled to an L2 length of 1; 0 stays 0."""
        return tf.math.divide_no_nan(direction, _l2_length(direction))


Ball = LinfBall | L2Ball
BALLS: dict[object, type[Ball]] = {"inf": LinfBall, math.inf: LinfBall, "2": L2Ball, 2: L2Ball}


def ball_of(norm) -> type[Ball]:
    """The class of a norm's balls; a ValueError if it is neither "inf" nor "2"."""
    if norm not in BALLS:
        raise ValueError(f"norm {norm!r} is not 'inf' or '2'")
    return BALLS[norm]


def _round_towards(images, values, exact):
    """Values, float32, of exact ones, float64, and none further from the images than these.

    Rounding to the nearest could put a value beyond epsilon by its last bit.
    """
    exact_images = tf.cast(images, tf.float64)
    too_far = tf.abs(tf.cast(values, tf.float64) - exact_images) > tf.abs(exact - exact_images)
    return tf.where(too_far, tf.math.nextafter(values, images), values)


def _l2_length(change):
    """n×1×1×1."""
    squares = tf.reduce_sum(tf.square(tf.cast(change, tf.float64)), axis=(1, 2, 3), keepdims=True)
    return tf.cast(tf.sqrt(squares), tf.float32)
