"""Classic augmentation: small random rotations, changes of size, and shifts."""

import numpy as np
import tensorflow as tf
from keras import ops

from common import distribution


class Augmentation:
    """Images to images of the same class, n×height×width×channels in [-1, 1].

    Each image is rotated about its centre, made larger or smaller, and moved, by amounts drawn for
    it alone. What comes in from beyond the edge repeats the edge. Nothing is mirrored: a mirrored
    digit is no digit, and a mirrored chest has its heart on the wrong side.

    Args:
        rotation: at most so many degrees to either side.
        zoom: the size changes by at most this share.
        shift: at most this share of height and of width.
    """

    def __init__(self, rotation: float = 10.0, zoom: float = 0.1, shift: float = 0.07):
        self.rotation, self.zoom, self.shift = rotation, zoom, shift

    def __call__(self, images, seed):
        """Varies images.

        Args:
            images: n×height×width×channels.
            seed: two whole numbers, which set what is drawn.

        Returns:
            As many images of the same size, float32.
        """
        amounts = distribution.draw(
            tf.random.stateless_uniform,
            (tf.shape(images)[0], 4),
            seed=seed,
            minval=-1.0,
            alg="philox",
        )
        angle, size, right, down = tf.unstack(amounts, axis=1)
        height, width = images.shape[1:3]
        transforms = matrices(
            angle * self.rotation * (np.pi / 180),
            1 + size * self.zoom,
            right * self.shift * width,
            down * self.shift * height,
            (height, width),
        )
        return ops.image.affine_transform(images, transforms, "bilinear", "nearest")


def matrices(angle, size, right, down, shape):
    """Affine transforms for Keras' `affine_transform`, n×8: where in the input each pixel is from.

    Args:
        angle: radians, n, counterclockwise.
        size: n; above 1, things become larger.
        right, down: pixels, n.
        shape: height and width.
    """
    cosine, sine = ops.cos(angle) / size, ops.sin(angle) / size
    y, x = ((length - 1) / 2 for length in shape)  # the centre, which stays but for the shift
    zero = ops.zeros_like(angle)
    rows = (
        *(cosine, -sine, x - cosine * (x + right) + sine * (y + down)),
        *(sine, cosine, y - sine * (x + right) - cosine * (y + down)),
    )
    return ops.stack([*rows, zero, zero], axis=1)
