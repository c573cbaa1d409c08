"""The stream of training batches: shuffled, scaled, and the same for the same seed and step."""

import numpy as np
import tensorflow as tf

from common import UserError
from common.replicas import ONE, Replicas


def batches(
    images,
    batch_size: int,
    *,
    labels: np.ndarray | None = None,
    seed: int,
    start: int = 0,
    value_range: tuple[float, float] = (-1.0, 1.0),
    replicas: Replicas = ONE,
) -> tf.data.Dataset:
    """Endless batches of shuffled images; which ones are in a batch is set by seed and step alone.

    Every image is seen at most once in `len(images) // batch_size` steps; then the order is drawn
    anew. What doesn't fill a batch is left out that time.

    Args:
        images: uint8, n×height×width×channels. They stay uint8 in memory. Or an object that reads
            them as they are needed: with a length, a shape, `images[indices]`, which gives such an
            array, and `expect(indices)`, which is told what will be asked for next.
        labels: whole numbers, n or n×…, to go with the images.
        start: the step to begin with; a resumed run goes on where the first one stopped.
        value_range: what 0 and 255 become.
        replicas: for which a batch is divided, as `distribution.shard` does. This program reads
            only the images of its own replicas.

    Yields:
        float32, batch_size×height×width×channels; with labels, the pair of these and int32,
        batch_size or batch_size×…. For several replicas, the parts of this program's replicas one
        after the other.

    Raises:
        UserError: there are fewer images than a batch needs.
        ValueError: there are not as many labels as images.
    """
    check_batch_size(batch_size, images)
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"{len(images)} images but {len(labels)} labels")
    steps = len(images) // batch_size  # in one pass over the images
    low, high = value_range
    with tf.device("CPU"):
        in_memory = tf.constant(images) if isinstance(images, np.ndarray) else None
        labels = None if labels is None else tf.constant(labels, tf.int32)

    def batches_of_pass(number):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=tf.stack([seed, tf.cast(number, tf.int32)])
        )
        rows = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        return tf.data.Dataset.from_tensor_slices(rows)

    def look_up(indices, following):
        if in_memory is not None:
            return tf.gather(in_memory, indices)
        read = tf.numpy_function(read_ahead, [indices, following], tf.uint8)
        return tf.ensure_shape(read, (batch_size // replicas.count, *images.shape[1:]))

    def read_ahead(indices, following):
        asked = images[indices]
        images.expect(following)
        return asked

    def divide(indices):
        parts = [indices[number :: replicas.count] for number in replicas.local]
        return tf.data.Dataset.from_tensor_slices(tf.stack(parts))

    def read(indices, following=None):
        batch = tf.cast(look_up(indices, following), tf.float32) * ((high - low) / 255) + low
        return batch if labels is None else (batch, tf.gather(labels, indices))

    indices = tf.data.Dataset.counter(start // steps).flat_map(batches_of_pass)
    indices = indices.skip(start % steps)
    if replicas.count > 1:
        indices = indices.flat_map(divide)
    if in_memory is not None:
        stream = indices.map(read).prefetch(2 * len(replicas.local))
    else:  # no prefetching: its thread may wait for Python, which waits for it when it ends
        stream = tf.data.Dataset.zip(indices, indices.skip(1)).map(read)
    # Autotuning off: its thread delays the end of `fit` by seconds, and there is nothing to tune.
    options = tf.data.Options()
    options.autotune.enabled = False
    return stream.with_options(options)


def check_batch_size(batch_size: int, images) -> None:
    """Raises a UserError if there are fewer images than a batch needs."""
    if batch_size > len(images):
        raise UserError(f"--batch-size {batch_size} is more than the {len(images)} training images")
