"""The training algorithm of the semi-supervised GAN (GANs in Action, section 7.3).

The discriminator has one network and two heads. From the same ten logits, one head says which
digit it is (softmax), the other how likely the image is to be real. Each iteration trains it on
labelled images, on unlabelled ones, and on generated ones, and then the generator through it: four
updates, each on a mini-batch of its own.
"""

from typing import ClassVar

import keras
import tensorflow as tf
from keras import ops

from common.distribution import minimize, undivided
from common.gan import BaseGAN, accuracies
from common.random_layers import set_random_layers

binary_cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def real_logit(logits):
    """The logit of P(real), n×1, from the logits of the classes, n×K.

    The book's P(real) = 1 - 1 / (Σ exp(logit) + 1) is the sigmoid of log Σ exp(logit), and
    logsumexp computes that without overflow, however large the logits are. P(real) is also what a
    softmax over K + 1 classes leaves for those that are not "fake": exp(0) = 1 stands for "fake".
    """
    return ops.logsumexp(logits, axis=-1, keepdims=True)


def loss_labeled(outputs, labels):
    """Mean of -log P(label), a scalar: the softmax head.

    Args:
        outputs: of the discriminator, n×K or n×(K + 1).
        labels: whole numbers, n, from 0 to K - 1.
    """
    return undivided(cross_entropy(labels, outputs))


def loss_real(logits):
    """Mean of -log P(real), a scalar; from logits of the classes, n×K."""
    logit = real_logit(logits)
    return undivided(binary_cross_entropy(ops.ones_like(logit), logit))


def loss_fake(logits):
    """Mean of -log(1 - P(real)), a scalar; from logits of the classes, n×K."""
    logit = real_logit(logits)
    return undivided(binary_cross_entropy(ops.zeros_like(logit), logit))


def class_logits(outputs, classes):
    """Logits of the classes, n×K, on the scale on which the logit of "fake" is 0.

    Args:
        outputs: of the discriminator: n×K, which are returned as they are; or n×(K + 1), the last
            of which is the logit of "fake" (Odena 2016), which is subtracted from the others.
        classes: K.

    A softmax stays the same when one number is subtracted from all its logits. So K + 1 classes
    need only K outputs: the logit of "fake" can be a fixed 0.
    """
    return outputs if outputs.shape[-1] == classes else outputs[:, :classes] - outputs[:, classes:]


class SGAN(BaseGAN):
    """Trains a generator and a discriminator that is a classifier too.

    In the names of what is reported, c is the discriminator as a classifier, d the discriminator
    that tells real from generated images, and g the generator.

    Args:
        generator: n×latent_dim to images in [-1, 1].
        discriminator: images to logits, n×classes, or n×(classes + 1), the last for "fake".
        augmentation: changes real images, labelled or not, before each use; the book has none.
        classes: K.
        seed: with the iteration, sets all that is random in a training step.
    """

    METRICS = ("c_loss", "c_accuracy", *BaseGAN.METRICS)
    PLOTS: ClassVar = {
        "loss": {
            "c_loss": "discriminator, labelled",
            "d_loss": "discriminator, real or fake",
            "g_loss": "generator",
        },
        "discriminator's accuracy": {
            "c_accuracy": "labelled, training",
            "d_accuracy_real": "real",
            "d_accuracy_fake": "fake",
        },
    }

    def __init__(self, generator, discriminator, augmentation=None, classes=10, seed=0):
        super().__init__(generator, discriminator, seed)
        outputs = discriminator.output_shape[-1]
        if outputs not in (classes, classes + 1):
            raise ValueError(
                f"the discriminator has {outputs} outputs, neither {classes} nor {classes + 1}"
            )
        self.augmentation = augmentation
        self.classes = classes

    def compile(self, c_optimizer, d_optimizer, g_optimizer, **kwargs):
        """Takes three optimisers, as the discriminator has two heads.

        Args:
            c_optimizer: of the discriminator's updates on labelled images. The book compiles the
                discriminator once for each head, so each head has an optimiser with moments of its
                own, although both update the same weights.
            d_optimizer: of its updates on unlabelled and on generated images.
            g_optimizer: of the generator.
        """
        super().compile(d_optimizer, g_optimizer, **kwargs)
        self.c_optimizer = c_optimizer
        c_optimizer.build(self.discriminator.trainable_variables)

    def train_step(self, batch):
        """One iteration: four updates.

        Args:
            batch: ((labelled images, m×28×28×1 in [-1, 1]; their labels, int32, m), images without
                labels, n×28×28×1).

        Returns:
            By the names of METRICS, the means since the epoch began.
        """
        (labeled_images, labels), unlabeled_images = self.prepare(batch)
        noise_for_d, noise_for_g = tf.unstack(
            self.noise(self.iterations, tf.shape(unlabeled_images)[0])
        )

        # 1. The discriminator as a classifier, on labelled images.
        c_loss, outputs_labeled = self.train_discriminator(
            labeled_images, lambda outputs: loss_labeled(outputs, labels), self.c_optimizer
        )

        # 2. The discriminator on real images without labels.
        d_loss_real, outputs_unlabeled = self.train_discriminator(
            unlabeled_images, lambda outputs: loss_real(self.logits(outputs)), self.d_optimizer
        )

        # 3. The discriminator on generated images. The generator runs in inference mode, with the
        # running statistics of batch normalisation, as in the book's `generator.predict`.
        fake_images = self.generator(noise_for_d, training=False)
        d_loss_fake, outputs_fake = self.train_discriminator(
            fake_images, lambda outputs: loss_fake(self.logits(outputs)), self.d_optimizer
        )

        # 4. The generator, whose images are to pass for real. Only its variables are updated.
        g_loss = self.train_generator(noise_for_g)

        return self.report(
            c_loss=c_loss,
            d_loss=(d_loss_real + d_loss_fake) / 2,
            g_loss=g_loss,
            **self.head_accuracies(outputs_labeled, labels, outputs_unlabeled, outputs_fake),
        )

    def train_discriminator(self, images, loss_function, optimizer):
        """One update; gives the loss, a scalar, and the discriminator's outputs."""
        with tf.GradientTape() as tape:
            outputs = self.discriminator(images, training=True)
            loss = loss_function(outputs)
        variables = self.discriminator.trainable_variables
        minimize(optimizer, tape, loss, variables)
        return loss, outputs

    def train_generator(self, noise):
        with tf.GradientTape() as tape:
            fake_images = self.generator(noise, training=True)
            loss = loss_real(self.logits(self.discriminator(fake_images, training=True)))
        variables = self.generator.trainable_variables
        minimize(self.g_optimizer, tape, loss, variables)
        return loss

    def prepare(self, batch):
        """Makes dropout and augmentation a function of the iteration; augments the real images."""
        set_random_layers(self, self.seed, self.iterations)
        if self.augmentation is None:
            return batch
        (labeled_images, labels), unlabeled_images = batch
        labeled_images = self.augmentation(labeled_images, training=True)
        return (labeled_images, labels), self.augmentation(unlabeled_images, training=True)

    def logits(self, outputs):
        """Logits of the classes, n×classes, from the discriminator's outputs."""
        return class_logits(outputs, self.classes)

    def head_accuracies(self, outputs_labeled, labels, outputs_unlabeled, outputs_fake):
        """Accuracies of both heads, by name, from the outputs for the three kinds of images."""
        predicted = ops.cast(ops.argmax(self.logits(outputs_labeled), axis=-1), labels.dtype)
        logits_real, logits_fake = self.logits(outputs_unlabeled), self.logits(outputs_fake)
        return {
            "c_accuracy": ops.mean(ops.cast(predicted == labels, "float32")),
            **accuracies(real_logit(logits_real), real_logit(logits_fake)),
        }
