"""A training step on several devices, by TensorFlow's own `tf.distribute`.

Each device has a replica of the networks. The global batch of a step has the same images, labels
and noise as on one device, and each of n replicas takes every n-th of them from its own number on.
The gradient of an update is the mean of the replicas' gradients, so that n replicas take the step
that one takes, up to rounding; all of them then have the same weights again.

Where a step needs more of the batch than its part, as a mean over all of it does, it asks for that
here. On one device, and outside a training step, each function is the plain operation: `minimize`
updates, `draw` draws, and the others give back what they are given.
"""

import keras
import tensorflow as tf

# In float16, numbers below 6e-8 become 0 and above 65,504 infinite. Most gradients are small; these
# are kept if they are multiplied on their way. (Micikevicius et al. 2018, section 3.2: factors from
# 8 to 32,768. Keras' LossScaleOptimizer looks for the largest, and leaves out the updates in which
# it was too large: those of one network of a game, while the others go on.)
LOSS_SCALE = 1024.0


def replicas() -> int:
    """How many replicas share the present training step; 1 on one device, and outside a step."""
    return 1 if tf.distribute.in_cross_replica_context() else devices()


def devices() -> int:
    """How many devices will train what is built now: those of the scope that this is within."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def shard(batch, axis: int = 0):
    """This replica's shard of the global batch: every n-th of it, from the replica's number on.

    Of a batch 0, 1, …, 7 and two replicas: 0, 2, 4, 6 and 1, 3, 5, 7. So the shards of two batches,
    concatenated, are the shard of the concatenated batches, as chapter 7's feature matching needs;
    and images that are a multiple of n apart, as a group of chapter 6's mini-batch standard
    deviation is, stay together.
    """
    if replicas() == 1:
        return batch
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.gather(batch, tf.range(number, tf.shape(batch)[axis], replicas()), axis=axis)


def draw(function, shape, *arguments, axis: int = 0, **settings):
    """This replica's shard of what is drawn at random for the global batch.

    Args:
        function: one of `tf.random`'s stateless ones: takes a shape, and then the rest.
        shape: of the shard.
        axis: of the batch in it.

    Returns:
        A tensor of that shape.
    """
    if replicas() == 1:
        return function(shape, *arguments, **settings)
    sizes = tf.unstack(tf.convert_to_tensor(shape))
    sizes[axis] *= replicas()
    drawn = shard(function(tf.stack(sizes), *arguments, **settings), axis)
    return tf.reshape(drawn, shape)  # which tells TensorFlow the sizes that are known


def mean(values):
    """The mean of the replicas' values, a tensor of any shape: with its gradient.

    Of the means over parts of a batch it is the mean over the batch.
    """
    if replicas() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)


def gather(batch):
    """All-gathers the replicas' shards, which are of one size, into the global batch.

    In the order of the batch, and differentiable.
    """
    count = replicas()
    if count == 1:
        return batch
    parts = tf.distribute.get_replica_context().all_gather(batch, axis=0)
    size, rest = tf.shape(batch)[0], tf.shape(batch)[1:]
    parts = tf.reshape(parts, tf.concat([[count, size], rest], 0))
    order = [1, 0, *range(2, len(batch.shape) + 1)]
    return tf.reshape(tf.transpose(parts, order), tf.concat([[count * size], rest], 0))


def minimize(optimizer, tape, loss, variables) -> None:
    """One update: `optimizer.apply(tape.gradient(loss, variables), variables)`.

    Args:
        loss: a scalar, of this replica's part of the batch. Keras' optimisers add up the replicas'
            gradients, and so each is divided by their number.
    """
    scale = loss_scale()
    if replicas() == scale == 1:
        optimizer.apply(tape.gradient(loss, variables), variables)
        return
    share = tf.ones_like(loss) * (scale / replicas())
    gradients = tape.gradient(loss, variables, output_gradients=share)
    # Those of an embedding are of the rows that were looked up, which differ between replicas.
    whole = [g if g is None else tf.convert_to_tensor(g) / scale for g in gradients]
    optimizer.apply(whole, variables)


def loss_scale() -> float:
    """What losses are multiplied by before their gradients are computed: 1, but for float16."""
    return LOSS_SCALE if keras.config.dtype_policy().name == "mixed_float16" else 1.0


def gradient(tape, target, source):
    """`tape.gradient(target, source)` of one tensor, where a loss is made of the gradient."""
    scale = loss_scale()
    if scale == 1:
        return tape.gradient(target, source)
    scaled = tape.gradient(target, source, output_gradients=tf.fill(tf.shape(target), scale))
    return scaled / scale


def undivided(loss):
    """What one of Keras' loss objects gives, as a mean over the replica's shard.

    They divide that by the number of replicas, which `minimize` does for all losses.
    """
    return loss if replicas() == 1 else loss * replicas()
