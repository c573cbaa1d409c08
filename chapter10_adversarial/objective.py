"""The losses that attacks ascend, and the margin: which of two images fools the classifier more."""

import functools
import warnings

import keras
import numpy as np
import tensorflow as tf


class Objective:
    """What an attack is after: that the classifier misses the labels, or sees them if `targeted`.

    Args:
        logits: the classifier, a function of images that gives logits, n×K.
        labels: whole numbers, n.
        targeted: whether the labels are the classes that the classifier is to see.
    """

    def __init__(self, logits, labels, targeted: bool):
        self.logits = in_inference_mode(logits)
        self.labels = labels
        self.sign = -1.0 if targeted else 1.0

    def gradient(self, images):
        """The gradient of `log_odds`; of -`log_odds` if targeted. n×height×width×channels."""
        return self.evaluate(images, log_odds)[2]

    def evaluate(self, images, loss):
        """Loss, margin and gradient of each image.

        Args:
            images: n×height×width×channels.
            loss: a function of logits, n×K, and labels, n; float32, n. It is ascended; if targeted,
                descended.

        Returns:
            The losses, to be ascended, n; the margins, n; the gradient of each image's loss.

        Warns, when the attack is compiled, if there is no gradient.
        """
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = self.logits(images)
            losses = loss(logits, self.labels)
            # A sum over the images: the gradient of each is that of its own loss.
            total = tf.reduce_sum(losses)
        gradient = tape.gradient(total, images)
        if gradient is None:  # as where a classifier rounds, or leaves TensorFlow
            warnings.warn(
                "the classifier gives no gradient, so attacks that follow it have nowhere to go; "
                "try square",
                stacklevel=2,
            )
            gradient = tf.zeros_like(images)
        # Where activations overflow, it is NaN, and so would the image be that followed it.
        gradient = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
        return (
            _lowest_if_nan(self.sign * losses),
            _lowest_if_nan(self.sign * margin(logits, self.labels)),
            self.sign * gradient,
        )

    def margins(self, images):
        """How far the attack has got with each image, n: above 0, it has succeeded."""
        return _lowest_if_nan(self.sign * margin(self.logits(images), self.labels))


def in_inference_mode(logits):
    """A classifier as it is called by attacks: a Keras model with `training=False`."""
    return functools.partial(logits, training=False) if isinstance(logits, keras.Model) else logits


def keep_better(images, margins, best, best_margins):
    """Of two sets of images, for each image the one with the larger margin; and that margin.

    Args:
        images, best: n×height×width×channels.
        margins, best_margins: n. Where they are equal, `best` is kept.
    """
    better = margins > best_margins
    best = tf.where(better[:, None, None, None], images, best)
    return best, tf.where(better, margins, best_margins)


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
    """log((1 - p) / p), the log-odds against the label, whose probability is p; float32, n.

    It is the loss that FGSM, PGD and Auto-PGD ascend.

    Cross-entropy is its softplus, so both gradients have the same direction. But in the gradient of
    cross-entropy the part of the label's own logit, 1 - p, is rounded to 0 in float32 where a
    classifier is sure (from odds of e¹⁷ on), and then a step no longer pushes that logit down.
    """
    others, own = _others_and_own(logits, labels)
    return tf.reduce_logsumexp(others, axis=1) - own


def dlr(logits, labels) -> tf.Tensor:
    """The difference of logits ratio (Croce & Hein 2020, section 4), K at least 3; float32, n.

    The margin, divided by how far the largest logit is from the third. So it stays the same when
    all logits are multiplied by a number: no scale of the logits hides its gradient.
    """
    largest = tf.math.top_k(tf.cast(logits, tf.float32), 3).values
    spread = largest[:, 0] - largest[:, 2]
    return tf.math.divide_no_nan(margin(logits, labels), spread)


def dlr_towards(targets):
    """The targeted difference of logits ratio (Croce & Hein 2020, section 4.1), K at least 4.

    Args:
        targets: whole numbers, n: for each image a class that is to get more than the label.

    Returns:
        A function of logits, n×K, and labels, n, to be ascended; float32, n.
    """

    def loss(logits, labels):
        logits = tf.cast(logits, tf.float32)
        of_target = tf.gather(logits, targets, batch_dims=1)
        of_label = tf.gather(logits, labels, batch_dims=1)
        largest = tf.math.top_k(logits, 4).values
        spread = largest[:, 0] - (largest[:, 2] + largest[:, 3]) / 2
        return tf.math.divide_no_nan(of_target - of_label, spread)

    return loss


def likeliest_others(logits, labels, count: int) -> tf.Tensor:
    """The classes with the largest logits beside the label, the largest first: int32, n×count."""
    others, _ = _others_and_own(logits, labels)
    return tf.math.top_k(others, count).indices


def _lowest_if_nan(values):
    """-∞ in place of NaN, which logits that overflow give.

    Comparisons with NaN are false, so an image that led to it would never be replaced by another.
    """
    return tf.where(tf.math.is_nan(values), -np.inf, values)


def _others_and_own(logits, labels):
    """Logits, n×K, where the label's is as small as can be; and the label's, n."""
    logits = tf.cast(logits, tf.float32)
    own = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    others = tf.where(own, logits.dtype.min, logits)
    return others, tf.reduce_sum(tf.where(own, logits, 0.0), axis=1)
