"""The losses of StackGAN's training."""

import keras
import tensorflow as tf
from keras import ops

from chapter11_applications.captions import FACTS, UNSAID
from common.distribution import undivided

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def loss_fits(logits):
    """Mean of -log P(real, and the caption its own), a scalar; from logits, n×1."""
    return undivided(cross_entropy(ops.ones_like(logits), logits))


def loss_fits_not(logits):
    """Mean of -log(1 - P(real, and the caption its own)), a scalar; from logits, n×1."""
    return undivided(cross_entropy(ops.zeros_like(logits), logits))


def facts_loss(fact_logits, facts):
    """Cross-entropy of what images show, in nats: the sum over the facts of the mean over images.

    Args:
        fact_logits: n×30, the logits of the first fact's values, then of the second's, …
        facts: n×7, see `captions.facts_of`; what is UNSAID has no loss.
    """
    total = 0.0
    parts = tf.split(fact_logits, list(FACTS.values()), axis=1)
    for number, logits in enumerate(parts):
        fact = facts[:, number]
        said = ops.cast(fact != UNSAID, "float32")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ops.maximum(fact, 0), logits)
        total += ops.mean(said * losses)
    return total


def kl_loss(mean, log_var):
    """KL(N(mean, exp(log_var)) ‖ N(0, 1)), n×d to a scalar: the mean over images and dimensions.

    The paper's equation 2, as a mean over the dimensions as in the authors' code.
    """
    return 0.5 * ops.mean(ops.exp(log_var) + ops.square(mean) - 1 - log_var)
