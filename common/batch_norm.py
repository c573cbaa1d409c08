"""Batch normalisation by TensorFlow's fused kernel, with running averages as in the book's Keras.

Keras 3 computes batch normalisation from a dozen small operations, and under mixed precision in
float32. On a CPU that is half of the time that chapter 4's generator needs. The kernel makes one
pass.

And Keras 3's running averages begin with a mean of 0 and a variance of 1, of which 0.99 are left
after one update, and a third after a hundred: until then a network makes one thing in training and
quite another in inference. In the Keras of the book they were corrected for that (keras-team/keras,
pull request 9003), and here they are too.
"""

import keras
import tensorflow as tf
from keras import layers

from common import distribution, random_layers


class FusedBatchNormalization(layers.BatchNormalization):
    """BatchNormalization over the last axis of n×height×width×channels, with scale and offset.

    Outputs and gradients are Keras' up to rounding. Gradients of gradients, as an R1 penalty takes
    them, differ by tenths of a percent to a few percent; finite differences agree with those of
    this layer.

    After t updates, the running averages are averages of the t values alone: with weights of
    momentum^(t-1), …, momentum, 1, divided by their sum. Keras 3's are these, times
    1 - momentum^t, plus momentum^t times what they began with.
    """

    def build(self, input_shape):
        plain = self.scale and self.center and not self.renorm
        if len(input_shape) != 4 or self.axis not in (-1, 3) or not plain:
            raise ValueError(f"{self.name}: TensorFlow has no fused kernel for such a layer")
        super().build(input_shape)
        self.updates = self.add_weight(
            shape=(), initializer="zeros", dtype="int64", trainable=False, name="updates"
        )

    def call(self, inputs, training=None, mask=None):
        training = bool(training and self.trainable)
        if training and self.synchronized and distribution.replicas() > 1:
            outputs, mean, variance = self.normalize_together(inputs)
        else:
            outputs, mean, variance = self.normalize(inputs, training)
            if training and distribution.replicas() > 1:  # the averages are the same on all
                mean, variance = tf.unstack(distribution.mean(tf.stack([mean, variance])))
        if training:
            before = self.momentum ** tf.cast(self.updates, tf.float32)  # the initial value's share
            decay = (self.momentum - self.momentum * before) / (1 - self.momentum * before)
            for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.assign(decay * average + (1 - decay) * value)
            self.updates.assign_add(1)
        return outputs

    def normalize(self, inputs, training):
        """By the fused kernel: outputs, mean and biased variance of the inputs."""
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=tf.zeros([0]) if training else self.moving_mean,
            variance=tf.zeros([0]) if training else self.moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel gives the unbiased variance here, although it normalises by the biased one.
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
            variance *= (count - 1) / count
        return outputs, mean, variance

    def normalize_together(self, inputs):
        """By the mean and the variance of the global batch. The kernel knows one device alone."""
        x = tf.cast(inputs, tf.float32)
        mean = distribution.mean(tf.reduce_mean(x, axis=(0, 1, 2)))
        variance = distribution.mean(tf.reduce_mean(tf.square(x - mean), axis=(0, 1, 2)))
        outputs = tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, self.epsilon)
        return tf.cast(outputs, inputs.dtype), mean, variance


def fuse(network: keras.Model, synchronized: bool = True) -> keras.Model:
    """A copy of a network, with its weights, whose batch normalisation is fused.

    Networks within the network are copied as they are. The running averages begin anew.

    Args:
        synchronized: on several devices, normalise by the statistics of the global batch rather
            than each replica by those of its part.

    Raises:
        ValueError: TensorFlow has no fused kernel for one of its layers.
    """
    return _with_layers(network, {layers.BatchNormalization: FusedBatchNormalization}, synchronized)


def unfuse(network: keras.Model) -> keras.Model:
    """A copy, with its weights, of Keras' layers alone: files of it need none of our code."""
    return _with_layers(
        network, {FusedBatchNormalization: layers.BatchNormalization, **random_layers.OF_KERAS}
    )


def _with_layers(network, replacements, synchronized=False):
    def copy(layer):
        config = layer.get_config()
        if isinstance(layer, layers.BatchNormalization):
            config["synchronized"] = synchronized
        return replacements.get(type(layer), type(layer)).from_config(config)

    clone = keras.models.clone_model(network, clone_function=copy)
    for layer, copied in zip(network.layers, clone.layers, strict=True):
        # Of the fused layer's weights, the number of updates comes last; the other has none.
        for weight, copied_weight in zip(layer.weights, copied.weights, strict=False):
            copied_weight.assign(weight)
    return clone
