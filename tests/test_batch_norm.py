"""The fused batch normalisation against Keras' own."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
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
def test_outputs_gradients_and_averages_are_keras(training):
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
        # Not the biases: before batch normalisation their gradient is 0 but for rounding.
        for a, b in zip(*results, strict=True):
            if len(a.shape) > 1:
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * np.max(np.abs(a)))
    for a, b in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_averages_move_in_training_alone():
    fused = batch_norm.fuse(network())
    before = fused.get_weights()
    fused(images(), training=False)
    assert all(np.array_equal(a, b) for a, b in zip(before, fused.get_weights(), strict=True))
    fused(images(), training=True)
    assert (
        sum(not np.array_equal(a, b) for a, b in zip(before, fused.get_weights(), strict=True)) == 4
    )


def test_mixed_precision_keeps_statistics_in_float32():
    plain = network()
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = network()
    fused = batch_norm.fuse(mixed)
    exact = plain(images(), training=True)
    outputs = fused(images(), training=True)
    assert outputs.dtype == tf.bfloat16
    error = np.abs(tf.cast(outputs, "float32") - exact)
    assert error.mean() < 0.02 * np.std(exact)
    for a, b in zip(plain.get_weights(), fused.get_weights(), strict=True):
        assert b.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=0.02)


def test_unfused_network_is_read_without_our_code(tmp_path):
    fused = batch_norm.fuse(network())
    plain = batch_norm.unfuse(fused)
    np.testing.assert_allclose(plain(images()), fused(images()), rtol=1e-4, atol=1e-4)
    plain.save(tmp_path / "network.keras")
    read = "import keras; print(keras.models.load_model('network.keras').count_params())"
    done = subprocess.run(
        [sys.executable, "-c", read], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == plain.count_params()
