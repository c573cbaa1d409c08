"""The ideas of section 6.2 of GANs in Action, each alone (Karras et al. 2018).

    fade_in               progressive growing, smoothing in of new layers
    MinibatchDeviation    mini-batch standard deviation
    EqualizedConv2D, …    equalised learning rate
    pixel_norm            pixel-wise feature normalisation in the generator

The book's listings of them do not run; the chapter's README has them beside these.
"""

import math

import keras
from keras import layers, ops

from chapter06_progan.levels import GROUP

EPSILON = 1e-8  # as the paper and its authors' code


def double(images):
    """Twice the height and width, n×h×w×c to n×2h×2w×c: each pixel four times.

    Nearest neighbour, as the authors' code. `ops.repeat` is slower, and TensorFlow's resizing has
    no deterministic gradient on a GPU.
    """
    n, height, width, channels = ops.shape(images)
    # Features twice, read as those of two pixels: each pixel beside its copy. Then rows likewise.
    wide = ops.reshape(ops.concatenate([images] * 2, axis=3), (n, height, 2 * width, channels))
    return ops.reshape(ops.concatenate([wide] * 2, axis=2), (n, 2 * height, 2 * width, channels))


def halve(images):
    """Half the height and width, n×2h×2w×c to n×h×w×c: the mean of four pixels each."""
    return ops.average_pool(images, 2)


def fade_in(old, new, fade):
    """What the old resolution makes, and more and more of what the new one makes.

    Args:
        old, new: of one shape.
        fade: 0, only the old, to 1, only the new; a number or a scalar tensor.
    """
    fade = ops.cast(fade, old.dtype)
    return (1 - fade) * old + fade * new


def pixel_norm(features):
    """Features, n×h×w×c or n×c, of which each pixel's have a mean square of 1 (equation 2).

    In mixed precision it is computed in bfloat16, as the features are; where these are float16, in
    float32, as float16 has neither the epsilon nor squares above 65,504.
    """
    exact = ops.cast(features, "float32") if features.dtype == "float16" else features
    scale = ops.rsqrt(ops.mean(ops.square(exact), axis=-1, keepdims=True) + EPSILON)
    return ops.cast(exact * scale, features.dtype)


class MinibatchDeviation(layers.Layer):
    """Adds a feature that says how different the images of a group are; section 3 of the paper.

    A discriminator sees by it that a generator makes one image again and again. The standard
    deviation over the group is computed for each feature at each pixel, and its mean over all of
    these is one number a group, which each of the group's images gets at each pixel.

    As in the authors' code, a batch of n is n / group groups, and image i is in group i modulo
    their number. Groups rather than whole batches, so that the number does not depend on the size
    of a batch, nor, where a batch is divided among several devices, on their number.

    Args:
        group: images in a group; a smaller batch is one group. It must divide larger batches.
    """

    def __init__(self, group: int = GROUP, **kwargs):
        super().__init__(**kwargs)
        self.group = group

    def call(self, features):
        """n×h×w×c to n×h×w×(c + 1)."""
        n, height, width, channels = ops.shape(features)
        group = ops.minimum(self.group, n)
        groups = ops.reshape(ops.cast(features, "float32"), (group, -1, height, width, channels))
        deviation = ops.sqrt(ops.var(groups, axis=0) + EPSILON)  # over the images of a group
        mean = ops.mean(deviation, axis=(1, 2, 3))  # one number a group
        of_each = ops.reshape(ops.broadcast_to(mean, (group, n // group)), (n, 1, 1, 1))
        added = ops.ones_like(features[..., :1]) * ops.cast(of_each, features.dtype)
        return ops.concatenate([features, added], axis=-1)


class Equalized(layers.Layer):
    """A kernel whose weights are drawn from N(0, 1), and scaled when they are used.

    By gain / √fan_in, so that features keep their size from layer to layer, as He et al. (2015)
    have it by the weights' initial size. Adam moves all weights by about the learning rate,
    whatever their size: with one initial size and a scale at run time, all layers learn equally
    fast.

    Args:
        gain: √2 where half the features are cut off after it, as by LeakyReLU.
        equalized: without it, the same function with weights of the usual initial size: what the
            idea does can be seen from the difference.
    """

    rate = 1.0  # a multiplier of the learning rate

    def __init__(self, gain: float = math.sqrt(2), equalized: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.gain = gain
        self.equalized = equalized

    def add_kernel_and_bias(self, shape: tuple[int, ...]) -> None:
        """The kernel, whose last axis is of the outputs, and the bias, which begins at 0."""
        deviation = self.gain / math.sqrt(math.prod(shape[:-1]))
        self.scale = deviation * self.rate if self.equalized else 1.0
        initial = keras.initializers.RandomNormal(stddev=deviation / self.scale)
        self.kernel = self.add_weight(shape, initial, name="kernel")
        self.bias = self.add_weight((shape[-1],), "zeros", name="bias")


class EqualizedConv2D(Equalized):
    """A convolution of stride 1 that keeps height and width."""

    def __init__(self, filters: int, size: int = 3, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.size = size

    def build(self, input_shape):
        self.add_kernel_and_bias((self.size, self.size, input_shape[-1], self.filters))

    def call(self, features):
        return ops.conv(features, self.kernel * self.scale, padding="same") + self.bias


class EqualizedDense(Equalized):
    """A dense layer.

    Args:
        rate: multiplier of its learning rate: its weights are larger and scaled down by so much, so
            that an update counts for less.
    """

    def __init__(self, units: int, rate: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.rate = rate

    def build(self, input_shape):
        self.add_kernel_and_bias((input_shape[-1], self.units))

    def call(self, features):
        return ops.matmul(features, self.kernel * self.scale) + self.bias * self.rate
