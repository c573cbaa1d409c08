"""Chapter 6: the four ideas of section 6.2, and what the book's printed listing computes."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from chapter06_progan.layers import (
    EqualizedConv2D,
    EqualizedDense,
    MinibatchDeviation,
    double,
    fade_in,
    halve,
    pixel_norm,
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_double_makes_four_pixels_of_each_and_halve_takes_their_mean():
    images = normal(2, 3, 5, 4)
    assert np.array_equal(double(images), images.repeat(2, axis=1).repeat(2, axis=2))
    assert np.array_equal(halve(double(images)), images)
    large = normal(2, 6, 10, 4)
    means = large.reshape(2, 3, 2, 5, 2, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(halve(large), means, rtol=1e-5, atol=1e-6)


def test_fade_in_is_exact_at_both_ends():
    old, new = tf.constant(normal(2, 4, 4, 1)), tf.constant(normal(2, 4, 4, 1, seed=1))
    for zero, one in ((0.0, 1.0), (tf.constant(0.0), tf.constant(1.0))):
        assert np.array_equal(fade_in(old, new, zero), old)
        assert np.array_equal(fade_in(old, new, one), new)
    np.testing.assert_allclose(fade_in(old, new, 0.25), 0.75 * old + 0.25 * new, atol=1e-6)


def test_pixel_norm_is_equation_2():
    features = normal(2, 3, 3, 5) * 4
    expected = features / np.sqrt(np.sum(features**2, axis=-1, keepdims=True) / 5 + 1e-8)
    np.testing.assert_allclose(pixel_norm(features), expected, rtol=1e-5)
    np.testing.assert_allclose(np.mean(np.square(pixel_norm(normal(4, 6))), axis=1), 1, rtol=1e-5)
    assert not np.any(pixel_norm(np.zeros((1, 2, 2, 3), "float32")))


def deviation_of(group):
    """One number: the mean over features and pixels of the deviation over a group's images."""
    return np.mean(np.sqrt(np.var(group.astype("float64"), axis=0) + 1e-8))


def test_minibatch_deviation_is_numpys_for_each_group():
    """Of eight images, 0, 2, 4 and 6 are a group, and 1, 3, 5 and 7."""
    features = normal(8, 4, 4, 3)
    features[1::2] *= 5
    out = MinibatchDeviation()(features).numpy()
    assert out.shape == (8, 4, 4, 4) and np.array_equal(out[..., :3], features)
    expected = [deviation_of(features[i % 2 :: 2]) for i in range(8)]
    assert expected[1] > 4 * expected[0]
    np.testing.assert_allclose(
        out[..., 3], np.broadcast_to(np.reshape(expected, (8, 1, 1)), (8, 4, 4)), rtol=1e-5
    )


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_batch_of_no_more_than_a_group_is_one(n):
    features = normal(n, 4, 4, 3)
    out = MinibatchDeviation()(features)
    np.testing.assert_allclose(out[..., 3], np.full((n, 4, 4), deviation_of(features)), rtol=1e-5)


def test_deviation_of_images_all_alike_is_small_and_its_gradient_no_nan():
    alike = tf.constant(np.repeat(normal(1, 4, 4, 3), 4, axis=0))
    with tf.GradientTape() as tape:
        tape.watch(alike)
        added = MinibatchDeviation()(alike)[..., 3]
    np.testing.assert_allclose(added, 1e-4, rtol=1e-3)  # √1e-8
    assert np.all(np.isfinite(tape.gradient(added, alike)))


def plain_layer(layer, shape):
    """Keras' own layer of the same shape, whose kernel is the equalised one times its scale."""
    if isinstance(layer, EqualizedConv2D):
        plain = keras.layers.Conv2D(layer.filters, layer.size, padding="same")
    else:
        plain = keras.layers.Dense(layer.units)
    plain.build(shape)
    plain.set_weights([layer.kernel.numpy() * layer.scale, layer.bias.numpy()])
    return plain


@pytest.mark.parametrize("equalized", [True, False])
@pytest.mark.parametrize(
    "make, shape, fan_in",
    [
        (lambda **kwargs: EqualizedConv2D(6, **kwargs), (2, 5, 5, 4), 3 * 3 * 4),
        (lambda **kwargs: EqualizedConv2D(6, size=1, gain=1.0, **kwargs), (2, 5, 5, 4), 4),
        (lambda **kwargs: EqualizedDense(6, **kwargs), (3, 20), 20),
    ],
)
def test_equalized_layers_compute_what_keras_do_with_the_scaled_kernel(
    make, shape, fan_in, equalized
):
    layer, features = make(equalized=equalized), normal(*shape)
    layer.build(shape)
    layer.bias.assign(normal(6, seed=1))
    assert layer.scale == (pytest.approx(layer.gain / math.sqrt(fan_in)) if equalized else 1)
    expected = plain_layer(layer, shape)(features)
    np.testing.assert_allclose(layer(features), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("equalized", [True, False])
def test_equalized_or_not_the_weights_in_use_have_hes_deviation(equalized):
    layer = EqualizedConv2D(64, equalized=equalized)
    layer.build((None, 4, 4, 64))
    kernel, he = np.std(layer.kernel), math.sqrt(2 / (3 * 3 * 64))
    assert kernel == pytest.approx(1 if equalized else he, rel=0.02)
    assert kernel * layer.scale == pytest.approx(he, rel=0.02)


@pytest.mark.parametrize("equalized", [True, False])
def test_features_keep_their_size_through_ten_equalized_layers(equalized):
    features = normal(64, 256)
    for _ in range(10):
        features = keras.ops.leaky_relu(EqualizedDense(256, equalized=equalized)(features), 0.2)
    assert 0.5 < np.mean(np.square(features)) < 3


def test_adam_moves_all_equalized_weights_by_the_same_share_of_their_size():
    """And without equalising by the same amount, whatever their size."""

    def moved(inputs, equalized):
        layer = EqualizedDense(3, equalized=equalized)
        layer.build((None, inputs))
        before = layer.kernel.numpy()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(tf.ones((1, inputs))))
        keras.optimizers.Adam(0.01).apply([tape.gradient(loss, layer.kernel.value)], [layer.kernel])
        return np.abs(layer.kernel.numpy() - before) * layer.scale

    for inputs in (8, 800):
        size = math.sqrt(2 / inputs)  # of the weights in use, He's
        np.testing.assert_allclose(moved(inputs, equalized=True), 0.01 * size, rtol=1e-3)
        np.testing.assert_allclose(moved(inputs, equalized=False), 0.01, rtol=1e-3)


# The English edition's listing of the mini-batch standard deviation, and issue 8 of the book's
# repository. The layer is n×W×H×C; reshaped to G×M×W×H×C, it has the variance over the group,
# M×W×H×C; then
#
#     minibatch = K.backend.square(minibatch + 1e8)
#     minibatch = tf.reduce_mean(minibatch, axis=[1,2,4], keepdims=True)
#     minibatch = K.backend.tile(minibatch, [group_size, 1, shape[2], shape[3]])
#     return K.backend.concatenate([layer, minibatch], axis=1)
#
# The Korean edition's has 1e-8 and axis=[1,2,3], and the square and the tiling too.


def printed_variance(images, group=4):
    """The listing up to the variance, which is right: n×W×H×C to M×W×H×C, float32."""
    groups = images.reshape(group, -1, *images.shape[1:])
    return np.mean(np.square(groups - groups.mean(axis=0, keepdims=True)), axis=0)


def our_deviation(images):
    """The number that our layer adds, of a batch of one group."""
    return MinibatchDeviation()(images).numpy()[0, 0, 0, -1]


ALIKE = np.repeat(normal(1, 4, 4, 3), 4, axis=0)  # what a collapsed generator makes
DIFFERENT = normal(4, 4, 4, 3, seed=1)


def test_with_the_printed_1e8_images_all_alike_are_as_different_as_any():
    """English edition; should be 1e-8.

    In float32 the variance is lost in 100,000,000, and the square is 1e16.
    """
    printed = [np.square(printed_variance(x) + np.float32(1e8)).mean() for x in (ALIKE, DIFFERENT)]
    assert printed[0] == printed[1] == pytest.approx(1e16)
    assert our_deviation(ALIKE) == pytest.approx(1e-4, rel=1e-3)
    assert 0.7 < our_deviation(DIFFERENT) < 1


def test_with_the_printed_square_for_the_root_it_is_no_deviation():
    """With 1e-8, as in the Korean edition: it grows with the fourth power of differences.

    Images that differ a tenth as much get a ten-thousandth, and by our layer a tenth.
    """
    printed = [np.square(printed_variance(x) + 1e-8).mean() for x in (DIFFERENT, DIFFERENT / 10)]
    assert printed[1] == pytest.approx(1e-4 * printed[0], rel=1e-3)
    assert our_deviation(DIFFERENT / 10) == pytest.approx(our_deviation(DIFFERENT) / 10, rel=1e-3)


def test_the_printed_axes_are_not_there():
    """English edition. The mean over the group has left four: 0 to 3.

    Pixels and features are 1, 2 and 3, as in the Korean edition.
    """
    deviation = np.sqrt(printed_variance(np.concatenate([ALIKE, DIFFERENT])) + 1e-8)
    assert deviation.shape == (2, 4, 4, 3)
    with pytest.raises(np.exceptions.AxisError, match="axis 4 is out of bounds"):
        deviation.mean(axis=(1, 2, 4), keepdims=True)
    ours = MinibatchDeviation()(np.concatenate([ALIKE, DIFFERENT])).numpy()[:2, 0, 0, -1]
    np.testing.assert_allclose(ours, deviation.mean(axis=(1, 2, 3)), rtol=1e-5)


def test_the_printed_tiling_adds_a_row_of_pixels_and_no_feature():
    """Both editions. It is for channels first; the book's images have them last, as ours."""
    mean = np.ones((1, 1, 1, 1), np.float32)  # M×1×1×1
    printed = np.concatenate([DIFFERENT, np.tile(mean, [4, 1, 4, 3])], axis=1)
    assert printed.shape == (4, 5, 4, 3)
    assert MinibatchDeviation()(DIFFERENT).shape == (4, 4, 4, 4)


def test_a_group_has_the_same_number_in_a_batch_of_any_size():
    """Why groups: a whole batch's number would depend on its size, and hide a part that collapses.

    Every second image is of the group that is all alike.
    """
    batch = np.empty((8, 4, 4, 3), np.float32)
    batch[::2], batch[1::2] = ALIKE, DIFFERENT
    found = MinibatchDeviation()(batch).numpy()[:, 0, 0, -1]
    np.testing.assert_allclose(found[::2], our_deviation(ALIKE), rtol=1e-4)
    np.testing.assert_allclose(found[1::2], our_deviation(DIFFERENT), rtol=1e-4)
    whole = MinibatchDeviation(group=8)(batch).numpy()[:, 0, 0, -1]
    assert np.all(whole == whole[0]) and whole[0] > 0.5
