"""What attacks maximise, and by what they tell which of two images fools the classifier more."""

import warnings

import tensorflow as tf


class Objective:
    """What an attack is after: that the classifier misses the labels, or sees them if `targeted`.

    Args:
        logits: the classifier, a function of images that gives logits, n×K.
        labels: whole numbers, n.
    """

    def __init__(self, logits, labels, targeted: bool):
        self.logits = logits
        self.labels = labels
        self.sign = -1.0 if targeted else 1.0

    def gradient(self, images):
        """The gradient of `log_odds`; of -`log_odds` if targeted. n×height×width×channels."""
        with tf.GradientTape() as tape:
            tape.watch(images)
            # A sum over the images: the gradient of each is that of its own log-odds.
            total = tf.reduce_sum(log_odds(self.logits(images), self.labels))
        gradient = tape.gradient(total, images)
        if gradient is None:  # as where a classifier rounds, or leaves TensorFlow
            warnings.warn(
                "the classifier gives no gradient, so FGSM and PGD have nowhere to go; try square",
                stacklevel=2,
            )
            return tf.zeros_like(images)
        return self.sign * gradient

    def margins(self, images):
        """How far the attack has got with each image, n: above 0, it has succeeded."""
        return self.sign * margin(self.logits(images), self.labels)


def margin(logits, labels) -> tf.Tensor:
    """By how much the best other class exceeds the label's: above 0, the label is missed.

    Args:
        logits: n×K.
        labels: n.

    Returns:
        float32, n.
    """
    others, own = _others_and_own(logits, labels)
    return tf.reduce_max(others, axis=1) - own


def log_odds(logits, labels) -> tf.Tensor:
    """log((1 - p) / p) of the label's probability p: the loss that attacks ascend; float32, n.

    Cross-entropy is its softplus, so both gradients have the same direction. But in the gradient of
    cross-entropy the part of the label's own logit, 1 - p, is rounded to 0 in float32 where a
    classifier is sure (from odds of e¹⁷ on), and then a step no longer pushes that logit down.
    """
    others, own = _others_and_own(logits, labels)
    return tf.reduce_logsumexp(others, axis=1) - own


def _others_and_own(logits, labels):
    """Logits, n×K, where the label's is as small as can be; and the label's, n."""
    logits = tf.cast(logits, tf.float32)
    own = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    others = tf.where(own, logits.dtype.min, logits)
    return others, tf.reduce_sum(tf.where(own, logits, 0.0), axis=1)
