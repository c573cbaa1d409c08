"""Spectral normalisation: layers whose weights are divided by their largest singular value.

Miyato et al. 2018, algorithm 1. Not `keras.layers.SpectralNormalization`: that of Keras 3.15 puts
the divided kernel in the place of the kernel at each call with `training=True`. So the gradient
does not know of the division, and a generator's update would change the discriminator. Here the
kernel stays as it is, the division is a part of the layer's function, and the vectors of the power
iteration change when `update_vectors` is called, and only then.
"""

import math

import keras
from keras import layers, ops


def update_vectors(network: keras.Model) -> None:
    """One power iteration in each spectral layer of a network, before the network is updated."""
    for layer in network.layers:
        if isinstance(layer, SpectralLayer):
            layer.iterate()


class SpectralLayer(layers.Layer):
    """A kernel W that is used as W / σ(W), and a bias.

    W counts as a matrix of in × out, for a convolution height·width·in × out. Its largest singular
    value σ is leftᵀ W right, with the vectors of one power iteration an update: as W changes
    slowly, they keep up. Before the first `update_vectors` they are no singular vectors.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.GlorotUniform()  # as Keras' own layers

    def add_weights(self, shape: tuple[int, ...]) -> None:
        """Adds W, the bias, and the two vectors.

        In mixed precision, W and the vectors stay float32: σ is computed in full.
        """
        rows, columns = math.prod(shape[:-1]), shape[-1]
        exact = {"autocast": False}
        self.kernel = self.add_weight(shape, self.initializer, name="kernel", **exact)
        self.bias = self.add_weight((columns,), "zeros", name="bias")
        fixed = {"initializer": "ones", "trainable": False, **exact}
        self.left = self.add_weight((rows,), name="left", **fixed)
        self.right = self.add_weight((columns,), name="right", **fixed)

    def matrix(self):
        return ops.reshape(self.kernel, (-1, self.kernel.shape[-1]))

    def iterate(self) -> None:
        """One power iteration."""
        matrix = ops.stop_gradient(self.matrix())
        self.left.assign(ops.normalize(ops.matmul(matrix, self.right)))
        self.right.assign(ops.normalize(ops.matmul(self.left, matrix)))

    def normalized_kernel(self):
        """W / σ(W), with the shape of W. The gradient flows through σ, not through the vectors."""
        sigma = ops.matmul(ops.matmul(self.left, self.matrix()), self.right)
        return ops.cast(self.kernel / sigma, self.compute_dtype)


class SpectralConv2D(SpectralLayer):
    """`Conv2D` with "same" padding, spectrally normalised."""

    def __init__(self, filters: int, size: int, strides: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.size = size
        self.strides = strides

    def build(self, input_shape):
        self.add_weights((self.size, self.size, input_shape[-1], self.filters))

    def call(self, images):
        return ops.conv(images, self.normalized_kernel(), self.strides, "same") + self.bias


class SpectralDense(SpectralLayer):
    """`Dense`, spectrally normalised."""

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.add_weights((input_shape[-1], self.units))

    def call(self, inputs):
        return ops.matmul(inputs, self.normalized_kernel()) + self.bias
