"""The fused batch normalisation against Keras' own."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import needs_16_bits
from keras import layers

from common import batch_norm


def network():
    """Two convolutions with batch normalisation whose weights are no longer the initial ones."""
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(momentum=0.8, epsilon=1e-2),
            layers.Conv2D(5, 3),
            layers.BatchNormalization(),
        ],
        name="two",
    )
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def images(n=7, seed=1):
    return np.random.default_rng(seed).normal(2, 3, (n, 6, 6, 3)).astype("float32")


@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_gradients_are_keras(training):
    plain = network()
    fused = batch_norm.fuse(plain)
    assert fused.name == "two"
    for seed in range(3):
        results = []
        for model in (plain, fused):
            inputs = tf.constant(images(seed=seed))
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = model(inputs, training=training)
                loss = tf.reduce_mean(outputs**3)
            results.append([outputs, *tape.gradient(loss, [inputs, *model.trainable_variables])])
        # What comes before batch normalisation may have gradients of 0, but for rounding.
        largest = max(np.max(np.abs(gradient)) for gradient in results[0][1:])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(
                a, b, rtol=1e-3, atol=1e-3 * np.max(np.abs(a)) + 1e-6 * largest
            )


@pytest.mark.parametrize("updates", [1, 2, 30])
def test_averages_are_keras_without_their_start(updates):
    plain = network()
    start = norms_of(plain)
    fused = batch_norm.fuse(plain)
    for seed in range(updates):
        plain(images(seed=seed), training=True)
        fused(images(seed=seed), training=True)
    momenta = [0.8, 0.8, 0.99, 0.99]
    for old, a, b, momentum in zip(start, norms_of(plain), norms_of(fused), momenta, strict=True):
        left = momentum**updates
        np.testing.assert_allclose(b, (a - left * old) / (1 - left), rtol=1e-3)


def norms_of(model):
    """Running means and variances of both layers."""
    found = [x for x in model.layers if isinstance(x, layers.BatchNormalization)]
    return [average.numpy() for x in found for average in (x.moving_mean, x.moving_variance)]


def test_averages_move_in_training_alone():
    fused = batch_norm.fuse(network())
    before = fused.get_weights()
    fused(images(), training=False)
    assert all(np.array_equal(a, b) for a, b in zip(before, fused.get_weights(), strict=True))
    fused(images(), training=True)
    moved = [not np.array_equal(a, b) for a, b in zip(before, fused.get_weights(), strict=True)]
    assert sum(moved) == 4 + 2  # and in each layer the number of updates


@needs_16_bits
def test_mixed_precision_keeps_statistics_in_float32():
    exact = network()
    keras.config.set_dtype_policy("mixed_bfloat16")
    plain = network()
    fused = batch_norm.fuse(plain)
    expected = exact(images(), training=True)
    outputs = fused(images(), training=True)
    assert outputs.dtype == tf.bfloat16
    errors = [
        np.abs(tf.cast(y, "float32") - expected) for y in (outputs, plain(images(), training=True))
    ]
    assert errors[0].mean() < 1.5 * errors[1].mean()
    again = batch_norm.fuse(exact)
    again(images(), training=True)
    for a, b in zip(norms_of(again), norms_of(fused), strict=True):
        assert b.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-2)


def test_frozen_layer_normalises_by_its_averages():
    plain = network()
    plain.trainable = False
    fused = batch_norm.fuse(plain)
    fused.trainable = False
    np.testing.assert_allclose(
        plain(images(), training=True), fused(images(), training=True), rtol=1e-4, atol=1e-4
    )
    for a, b in zip(norms_of(plain), norms_of(fused), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "shape, arguments",
    [
        ((6,), {}),
        ((4, 4, 4), {"axis": 1}),
        ((4, 4, 4), {"scale": False}),
        ((4, 4, 4), {"renorm": 1}),
    ],
)
def test_layers_without_a_fused_kernel_are_refused(shape, arguments):
    plain = keras.Sequential([keras.Input(shape), layers.BatchNormalization(**arguments)])
    with pytest.raises(ValueError, match="no fused kernel"):
        batch_norm.fuse(plain)


def test_second_derivatives_are_right():
    """What an R1 penalty needs: derivatives of a squared gradient by the images.

    A bias before batch normalisation has no effect, so its derivatives must be 0.
    """
    fused = batch_norm.fuse(network())
    inputs = tf.constant(images())
    with tf.GradientTape() as tape:
        with tf.GradientTape() as inner:
            inner.watch(inputs)
            outputs = tf.reduce_sum(fused(inputs, training=True) ** 3)
        value = tf.reduce_sum(inner.gradient(outputs, inputs) ** 2)
    kernel, bias, *_ = tape.gradient(value, fused.trainable_variables)
    assert np.max(np.abs(bias)) < 1e-5 * np.max(np.abs(kernel))


def test_unfused_network_is_read_without_our_code(tmp_path):
    fused = batch_norm.fuse(network())
    plain = batch_norm.unfuse(fused)
    np.testing.assert_allclose(plain(images()), fused(images()), rtol=1e-4, atol=1e-4)
    path = tmp_path / "network.keras"
    plain.save(path)
    loaded = keras.models.load_model(path)
    assert np.array_equal(loaded(images()), plain(images()))
    with zipfile.ZipFile(path) as archive:
        assert b"common" not in archive.read("config.json")
    assert all(type(layer).__module__.startswith("keras.") for layer in loaded.layers)
