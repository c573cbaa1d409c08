"""A small SAGAN's two networks, with and without attention (Zhang et al. 2019, section 3).

All convolutions and the dense layers are spectrally normalised, in both networks, as in the paper's
section 4.1.
"""

import keras
from keras import layers

from common.spectral import SpectralConv2D, SpectralDense, SpectralLayer, update_vectors

SLOPE = 0.1  # of LeakyReLU below 0, in the discriminator


class Gamma(layers.Layer):
    """Multiplies by a single learned number, which starts at 0."""

    def build(self, input_shape):
        self.gamma = self.add_weight((), "zeros", name="gamma")

    def call(self, inputs):
        return self.gamma * inputs


def self_attention(features):
    """Self-attention: each position adds what it finds at all others (section 3, equations 1 to 3).

    With x the features of C channels at N positions, and f, g, h, v four convolutions of 1×1:

        weights[j, i] = softmax over i of g(x_j) · f(x_i)       what position j attends to
        o_j = v(Σ_i weights[j, i] h(x_i))
        y_j = γ o_j + x_j                                       γ starts at 0

    So the layer starts as if it were not there, and a network first learns what convolutions can
    see. As in the authors' code, f and h are pooled, which leaves a quarter of the positions to
    attend to.

    Args:
        features: n×height×width×C, of even height and width; C is a multiple of 8.

    Returns:
        The same shape. The layer "attention" has the weights as its second output, n×N×N/4.
    """
    _, height, width, channels = features.shape
    query = SpectralConv2D(channels // 8, 1, name="g")(features)
    key = SpectralConv2D(channels // 8, 1, name="f")(features)
    value = SpectralConv2D(channels // 2, 1, name="h")(features)
    key, value = layers.MaxPooling2D(2)(key), layers.MaxPooling2D(2)(value)
    query, key, value = (layers.Reshape((-1, x.shape[-1]))(x) for x in (query, key, value))
    # Keras' layer is the softmax of the products, and the weighted sum; float32 for the softmax.
    attend = layers.Attention(name="attention", dtype="float32")
    found, _ = attend([query, value, key], return_attention_scores=True)  # → N×C/2
    found = layers.Reshape((height, width, channels // 2))(found)
    found = SpectralConv2D(channels, 1, name="v")(found)  # → C
    return layers.Add()([Gamma(name="gamma")(found), features])


def build_generator(latent_dim=64, image_shape=(28, 28, 1), attention=True) -> keras.Model:
    """Noise to image: n×latent_dim, normal, to n×height×width×1 in (-1, 1).

    Args:
        image_shape: height and width, multiples of 4, and channels.
        attention: self-attention, at half the image's height and width.
    """
    height, width, channels = image_shape
    noise = keras.Input((latent_dim,))
    x = SpectralDense(height // 4 * (width // 4) * 64)(noise)
    x = layers.Reshape((height // 4, width // 4, 64))(x)  # latent_dim → 7×7×64
    for filters in (32, 16):  # → 14×14×32 → 28×28×16
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.UpSampling2D(2)(x)
        x = SpectralConv2D(filters, 3)(x)
        if attention and filters == 32:
            x = self_attention(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = SpectralConv2D(channels, 3)(x)  # → 28×28×1
    # In mixed precision too, what leaves a network is float32.
    image = layers.Activation("tanh", dtype="float32")(x)
    return _with_vectors(keras.Model(noise, image, name="generator"))


def build_discriminator(image_shape=(28, 28, 1), attention=True) -> keras.Model:
    """Image to logit: n×height×width×1 in [-1, 1] to n×1.

    Without attention, a unit of the last convolution sees 19×19 pixels, and the logit is a sum over
    these units: whatever is further apart is judged by itself.

    Args:
        image_shape, attention: as in `build_generator`.
    """
    image = keras.Input(image_shape)
    x = SpectralConv2D(32, 3, strides=2)(image)  # 28×28×1 → 14×14×32
    x = layers.LeakyReLU(SLOPE)(x)
    x = SpectralConv2D(32, 3)(x)  # → 14×14×32
    if attention:
        x = self_attention(x)
    x = layers.LeakyReLU(SLOPE)(x)
    for filters in (64, 64):  # → 7×7×64 → 4×4×64
        x = SpectralConv2D(filters, 3, strides=2)(x)
        x = layers.LeakyReLU(SLOPE)(x)
    x = layers.Flatten()(x)
    logit = SpectralDense(1, dtype="float32")(x)
    return _with_vectors(keras.Model(image, logit, name="discriminator"))


def _with_vectors(network):
    """The network after ten power iterations, so that σ is about right from the first step on."""
    for _ in range(10):
        update_vectors(network)
    return network


def export(network: keras.Model) -> keras.Model:
    """A copy of Keras' layers alone: its file is read with none of our code.

    The normalised kernels become the kernels, and γ a constant.
    """

    def copy(layer):
        if isinstance(layer, Gamma):
            return layers.Rescaling(float(layer.gamma), name=layer.name, dtype="float32")
        config = layer.get_config()
        if isinstance(layer, SpectralConv2D):
            del config["size"]
            config |= {"kernel_size": layer.size, "padding": "same"}
            return layers.Conv2D.from_config(config)
        kind = layers.Dense if isinstance(layer, SpectralDense) else type(layer)
        return kind.from_config(config)

    clone = keras.models.clone_model(network, clone_function=copy)
    for layer, copied in zip(network.layers, clone.layers, strict=True):
        weights = layer.get_weights()
        if isinstance(layer, SpectralLayer):
            weights = [keras.ops.cast(layer.normalized_kernel(), "float32"), layer.bias]
        for copied_weight, weight in zip(copied.weights, weights, strict=False):  # γ has no copy
            copied_weight.assign(weight)
    return clone
