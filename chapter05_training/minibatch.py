"""Mini-batch discrimination: the discriminator sees how alike the images of a batch are.

GANs in Action's repository names it among the hacks of section 5.4; Salimans et al. 2016, section
3.2. A generator that makes one image again and again is found out by this, though each of its
images may be good.
"""

from keras import layers, ops

from common import distribution


class MinibatchDiscrimination(layers.Layer):
    """Adds to each image's features how close it is to the others of its batch.

    Each image's features f become a matrix M = f T of kernels × width. Two images i and j are close
    in kernel b by exp(-|M_i,b - M_j,b|₁), and what is added is the sum of that over the others. It
    is a sum over the batch, so real and generated images come in batches of their own.

    Args:
        kernels: how many such sums are added to the features, the paper's B.
        width: of each row, the paper's C.
    """

    def __init__(self, kernels: int = 100, width: int = 5, **kwargs):
        super().__init__(**kwargs)
        self.kernels = kernels
        self.width = width

    def build(self, input_shape):
        shape = (input_shape[-1], self.kernels * self.width)
        self.tensor = self.add_weight(shape, "glorot_uniform", name="tensor")

    def call(self, features):
        """Features, n×d, to n×(d + kernels)."""
        rows = ops.reshape(ops.matmul(features, self.tensor), (-1, self.kernels, self.width))
        others = distribution.gather(rows)
        distances = ops.sum(ops.abs(rows[:, None] - others[None]), axis=-1)  # n×n×kernels
        closeness = ops.sum(ops.exp(-distances), axis=1) - 1  # but for the image itself
        return ops.concatenate([features, closeness], axis=-1)
