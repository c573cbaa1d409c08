"""The image pool of the CycleGAN paper: a history of generated images."""

import keras
import tensorflow as tf

from common.distribution import gather, shard


class ImagePool(keras.layers.Layer):
    """Generated images of earlier iterations, for a discriminator (Shrivastava et al. 2017).

    A discriminator that sees only the newest images forgets what the generator did before, and
    training can oscillate. The images are weights of the layer, so that a checkpoint holds them.

    Args:
        size: how many images; at least a batch.
        image_shape: height, width, channels.
    """

    def __init__(self, size: int, image_shape: tuple[int, int, int]):
        super().__init__(dtype="float32")
        self.size = size
        self.images = self.add_weight(
            shape=(size, *image_shape), initializer="zeros", trainable=False, name="images"
        )
        self.count = self.add_weight(  # of images seen
            shape=(), initializer="zeros", dtype="int64", trainable=False, name="count"
        )
        self.built = True

    def exchange(self, images, seed):
        """Takes new images, and gives as many: each, or with probability ½ one of the pool instead.

        A new image that is not given takes the place of the pool's image that is given instead of
        it. Until the pool is full, it keeps every new image, and all images that it gives are new.

        Args:
            images: n×height×width×channels.
            seed: two whole numbers that set which images are given.
        """
        images = gather(images)  # on several devices, each keeps the pool of the global batch
        n = tf.shape(images)[0]
        which_seed, place_seed = tf.unstack(tf.random.split(seed, 2))
        count = tf.cast(self.count, tf.int32)
        full = count >= self.size
        places = tf.where(
            full,
            tf.random.experimental.stateless_shuffle(tf.range(self.size), seed=place_seed)[:n],
            (count + tf.range(n)) % self.size,
        )
        old = tf.gather(self.images, places)
        half = tf.random.stateless_uniform((n, 1, 1, 1), which_seed, alg="philox") < 0.5
        taken = tf.logical_and(full, half)
        kept = tf.where(tf.logical_or(taken, tf.logical_not(full)), images, old)
        self.images.assign(tf.tensor_scatter_nd_update(self.images, places[:, tf.newaxis], kept))
        self.count.assign_add(tf.cast(n, tf.int64))
        return shard(tf.where(taken, old, images))
