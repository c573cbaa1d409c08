"""A trained generator, of Keras' own layers alone: its file is read with none of our code.

The scale of an equalised layer becomes a part of its kernel. The images are the same, but for
rounding, which is that of float32.
"""

import keras
import numpy as np
from keras import layers

from chapter06_progan.layers import EPSILON, EqualizedConv2D, EqualizedDense
from chapter06_progan.networks import Generator, PixelNorm
from chapter06_progan.style_networks import StyledLayer, StyleGenerator

FLOAT32 = {"dtype": "float32"}


def export(generator: Generator | StyleGenerator) -> keras.Model:
    """The last level's generator, noise to images; a style-based one has no noise in its layers."""
    noise = keras.Input((generator.latent_dim,))
    export_layers = export_styled if isinstance(generator, StyleGenerator) else export_plain
    images = export_layers(generator, pixel_norm_layer()(noise))
    return keras.Model(noise, images, name="generator")


def export_plain(generator: Generator, features):
    for number, block in enumerate(generator.blocks):
        if number:
            features = double_layer()(features)
        for layer in block.layers:
            features = keras_layer(layer)(features)
    return keras_layer(generator.to_images[-1])(features)


def export_styled(generator: StyleGenerator, style):
    for layer in generator.mapping.layers:
        style = keras_layer(layer)(style)
    constant = generator.constant.numpy()[0]
    # The same for all styles: a layer of zeros, with the constant for its bias.
    features = dense(np.zeros((generator.latent_dim, constant.size)), constant.ravel())(style)
    features = layers.Reshape(constant.shape)(features)
    for number, block in enumerate(generator.blocks):
        if number:
            features = double_layer()(features)
        for layer in block:
            features = export_layer(layer, features, style)
    return keras_layer(generator.to_images[-1])(features)


def export_layer(layer: StyledLayer, features, style):
    if layer.convolution:
        features = keras_layer(layer.convolution)(features)
    features = keras_layer(layer.activate)(features)
    # As many groups as features, which is instance normalisation.
    normalize = layers.GroupNormalization(
        groups=-1, epsilon=EPSILON, center=False, scale=False, **FLOAT32
    )
    affine = layer.adain.affine
    kernels = np.split(affine.kernel.numpy() * affine.scale, 2, axis=1)
    scale_bias, shift_bias = np.split(affine.bias.numpy(), 2)
    scale = dense(kernels[0], scale_bias + 1)(style)
    shift = dense(kernels[1], shift_bias)(style)
    one_pixel = layers.Reshape((1, 1, layer.filters))
    scaled = layers.Multiply()([normalize(features), one_pixel(scale)])
    return layers.Add()([scaled, one_pixel(shift)])


def pixel_norm_layer():
    """A mean square of 1, as `layers.pixel_norm`; Keras' own scale stays 1."""
    return layers.RMSNormalization(epsilon=EPSILON, **FLOAT32)


def double_layer():
    return layers.UpSampling2D(2, interpolation="nearest", **FLOAT32)


def dense(kernel, bias):
    layer = layers.Dense(len(bias), **FLOAT32)
    layer.build((None, len(kernel)))
    layer.set_weights([kernel, bias])
    return layer


def keras_layer(layer):
    """Keras' own layer that computes what a layer of ours does."""
    if isinstance(layer, PixelNorm):
        return pixel_norm_layer()
    if isinstance(layer, EqualizedDense):
        return dense(layer.kernel.numpy() * layer.scale, layer.bias.numpy() * layer.rate)
    if isinstance(layer, EqualizedConv2D):
        kernel = layer.kernel.numpy() * layer.scale
        convolution = layers.Conv2D(layer.filters, layer.size, padding="same", **FLOAT32)
        convolution.build((None, None, None, kernel.shape[2]))
        convolution.set_weights([kernel, layer.bias.numpy()])
        return convolution
    return type(layer).from_config(layer.get_config() | FLOAT32)
