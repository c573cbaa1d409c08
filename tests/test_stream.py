"""The stream of training batches."""

import numpy as np
import pytest

from common import UserError, stream


def numbered(n):
    """Images whose first two pixels hold their number."""
    images = np.zeros((n, 28, 28, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.divmod(np.arange(n), 256)
    return images


def numbers(batches, count):
    """The images' numbers in each of the first batches."""
    return np.stack([numbers_of(batch) for batch in batches.take(count)])


def numbers_of(batch):
    pixels = np.round((batch.numpy()[:, 0, :2, 0] + 1) * 127.5).astype(int)
    return pixels[..., 0] * 256 + pixels[..., 1]


def test_stream_shows_each_image_once_a_pass_in_a_new_order():
    order = numbers(stream.batches(numbered(300), 30, seed=1), 20)
    assert order.shape == (20, 30)
    first, second = order[:10].ravel(), order[10:].ravel()
    assert sorted(first) == sorted(second) == list(range(300))
    assert np.mean(first == second) < 0.05 and np.mean(first == np.arange(300)) < 0.05


@pytest.mark.parametrize("start", [1, 9, 10, 37])
def test_stream_is_a_function_of_seed_and_step(start):
    images = numbered(305)  # five images don't fill a batch, other ones in each pass
    whole = numbers(stream.batches(images, 30, seed=1), 60)
    resumed = numbers(stream.batches(images, 30, seed=1, start=start), 20)
    assert np.array_equal(whole[start : start + 20], resumed)
    assert not np.array_equal(whole, numbers(stream.batches(images, 30, seed=2), 60))
    assert len(np.unique(whole)) == 305


@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_stream_scales_to_the_range(value_range):
    images = np.zeros((4, 28, 28, 1), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = 255, 51
    (batch,) = stream.batches(images, 4, seed=0, value_range=value_range).take(1)
    assert batch.shape == (4, 28, 28, 1) and batch.dtype == "float32"
    low, high = value_range
    np.testing.assert_allclose(batch[:, 0, :3, 0], [[high, low + (high - low) / 5, low]] * 4)


def test_stream_refuses_a_batch_that_the_images_do_not_fill():
    with pytest.raises(UserError, match="--batch-size 5 is more than the 4 training images"):
        stream.batches(numbered(4), 5, seed=0)


def test_labels_stay_with_their_images():
    images = numbered(50)
    batches = stream.batches(images, 8, labels=np.arange(50) % 10, seed=1, start=3)
    alone = numbers(stream.batches(images, 8, seed=1, start=3), 2)
    for (pictures, labels), expected in zip(batches.take(2), alone, strict=True):
        assert labels.shape == (8,) and labels.dtype == "int32"
        assert np.array_equal(numbers_of(pictures), expected)
        assert np.array_equal(labels, expected % 10)
    with pytest.raises(ValueError, match="50 images but 49 labels"):
        stream.batches(images, 8, labels=np.zeros(49), seed=1)
