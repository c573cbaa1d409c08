"""The training of the classifiers: on images as they are, and on the images of an attack."""

import keras
import tensorflow as tf

from chapter10_adversarial import attacks
from common.device import CompiledLoop

BOUNDS = (0.0, 1.0)  # of the images

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Training(CompiledLoop, keras.Model):
    """Trains classifiers side by side, on the same batches.

    Args:
        undefended, second: networks that learn from images as they are: n×28×28×1 in [0, 1] to
            logits, n×10. There are two to see whether what fools one fools another.
        defended: a network that learns from adversarial images (Madry et al. 2018), or None.
        epsilon: how far the images that `defended` learns from are changed, L∞.
        warmup: iterations in which this grows from 0; with all of it at once, at the learning rates
            of train.py, a network that knows nothing yet learned nothing.
        steps, step_size: of the attack that changes them; see `attacks.pgd`. A single step is the
            "fast" adversarial training of Wong et al. (2020).
        seed: with the iteration, sets the attack's random starts.
    """

    def __init__(self, undefended, second, defended, *, epsilon, warmup, steps, step_size, seed=0):
        super().__init__()
        self.undefended = undefended
        self.second = second
        self.defended = defended
        self.epsilon = epsilon
        self.warmup = warmup
        self.steps = steps
        self.step_size = step_size
        self.seed = seed
        self.built = True  # as the networks are; Keras refuses to save a model that is not
        self.undefended_loss = keras.metrics.Mean("undefended_loss")
        self.second_loss = keras.metrics.Mean("second_loss")
        self.defended_loss = keras.metrics.Mean("defended_loss")

    def compile(self, undefended_optimizer, second_optimizer, defended_optimizer=None, **kwargs):
        super().compile(optimizer=None, **kwargs)
        self.undefended_optimizer = undefended_optimizer
        self.second_optimizer = second_optimizer
        undefended_optimizer.build(self.undefended.trainable_variables)
        second_optimizer.build(self.second.trainable_variables)
        if self.defended:
            self.defended_optimizer = defended_optimizer
            defended_optimizer.build(self.defended.trainable_variables)

    @property
    def metrics(self):
        defended = [self.defended_loss] if self.defended else []
        return [self.undefended_loss, self.second_loss, *defended]

    @property
    def iterations(self):
        """Training steps done so far: each network is updated once in each."""
        return self.undefended_optimizer.iterations

    def train_step(self, batch):
        images, labels = batch
        if self.defended:
            # 1. The worst images for the network as it is now, as far as a few steps find them …
            adversarial_images = attacks.pgd(
                logits=self.defended,
                images=images,
                labels=labels,
                epsilon=self.epsilon * self.share_of_epsilon(),
                bounds=BOUNDS,
                steps=self.steps,
                step_size=self.step_size,
                seed=tf.stack([self.seed, tf.cast(self.iterations, tf.int32)]),
            )
            # 2. … are what it learns from, with the true labels.
            loss = self.train(self.defended, self.defended_optimizer, adversarial_images, labels)
            self.defended_loss.update_state(loss)

        loss = self.train(self.second, self.second_optimizer, images, labels)
        self.second_loss.update_state(loss)
        loss = self.train(self.undefended, self.undefended_optimizer, images, labels)
        self.undefended_loss.update_state(loss)
        return {m.name: m.result() for m in self.metrics}

    def share_of_epsilon(self):
        """Grows from 0 to 1 during the warm-up."""
        begun = tf.cast(self.iterations + 1, tf.float32)
        return tf.minimum(begun / max(self.warmup, 1), 1.0)

    def train(self, network, optimizer, images, labels):
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, network(images, training=True))
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss
