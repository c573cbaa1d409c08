"""Data augmentation: of real images, before each use in training; never of test images."""

import functools

import tensorflow as tf

from common import distribution

uniform = functools.partial(
    distribution.draw, functools.partial(tf.random.stateless_uniform, alg="philox")
)


def flip(images, seed):
    """Mirrors each image left to right with probability ½, as the book does.

    Args:
        images: n×height×width×channels in [-1, 1].
        seed: two whole numbers that set which.
    """
    chance = uniform((tf.shape(images)[0], 1, 1, 1), seed)
    return tf.where(chance < 0.5, images[:, :, ::-1], images)


def jitter(images, seed):
    """Enlarges images by 1.117, cuts out as much as there was, and mirrors each by chance (½).

    As in TensorFlow's tutorial on CycleGAN, where 256×256 becomes 286×286.

    Args:
        images: n×height×width×channels in [-1, 1].
        seed: two whole numbers that set which part is cut out, and which are mirrored.
    """
    cut_seed, flip_seed = tf.unstack(tf.random.split(seed, 2))
    return flip(cut(images, cut_seed), flip_seed)


def cut(images, seed):
    """Enlarges images by 1.117, and cuts out as much as there was, each at a place of its own.

    Args:
        images: n×height×width×channels in [-1, 1].
        seed: two whole numbers that set the places.
    """
    n, height, width, _ = tf.unstack(tf.shape(images))
    larger = tf.image.resize(images, (height * 286 // 256, width * 286 // 256))
    spare = tf.shape(larger)[1:3] - tf.stack([height, width])
    top, left = (
        uniform((n,), part, maxval=most + 1, dtype=tf.int32)
        for part, most in zip(tf.unstack(tf.random.split(seed, 2)), tf.unstack(spare), strict=True)
    )
    rows = top[:, tf.newaxis] + tf.range(height)  # n×height
    columns = left[:, tf.newaxis] + tf.range(width)  # n×width
    part = tf.gather(larger, rows, axis=1, batch_dims=1)
    part = tf.gather(part, columns, axis=2, batch_dims=1)
    return tf.ensure_shape(part, images.shape)
