"""Feature matching: another aim for the generator (Salimans et al. 2016, section 3.1)."""

import keras
import tensorflow as tf
from keras import ops

from chapter07_sgan.sgan import SGAN, loss_fake, loss_labeled, loss_real
from common import distribution
from common.distribution import minimize


def loss_features(real_features, fake_features):
    """Feature matching: mean squared difference of two batches' mean features, n×d and m×d."""
    real_mean = distribution.mean(ops.mean(real_features, axis=0))
    fake_mean = distribution.mean(ops.mean(fake_features, axis=0))
    return ops.mean(ops.square(real_mean - fake_mean))


class FeatureMatchingSGAN(SGAN):
    """An SGAN whose generator matches the mean features of real images.

    The features are the activations of the discriminator's last hidden layer. The generator's
    images look worse than with the book's loss. The thought is that they lie around the real ones
    on all sides, and so teach the discriminator where the classes end.

    The discriminator learns from the three kinds of images in one update, on the loss of labelled
    images + `adversarial_weight` · the mean of those of unlabelled and of generated ones. Batch
    normalisation in the discriminator would mix the kinds, so it should have none.

    Differences from the authors' code, each to save time or lines: the same generated images serve
    both networks; the features of real images are those of the forward pass of the discriminator's
    update, with its old weights, and those of generated images are of its new weights; and features
    are taken after the last layer's noise.

    Args:
        generator, discriminator, augmentation, classes, seed: as `SGAN`'s.
        adversarial_weight: of the discriminator's losses on real and generated images, beside that
            on labelled images. With 0 the discriminator learns nothing from the generator.
    """

    def __init__(self, *args, adversarial_weight=1.0, **keyword_arguments):
        super().__init__(*args, **keyword_arguments)
        self.adversarial_weight = adversarial_weight
        last = self.discriminator.layers[-1]
        self.features_and_outputs = keras.Model(
            self.discriminator.inputs[0], [last.input, self.discriminator.outputs[0]]
        )

    def compile(self, d_optimizer, g_optimizer, **kwargs):
        """One optimiser a network: the discriminator's losses are one sum."""
        super().compile(d_optimizer, d_optimizer, g_optimizer, **kwargs)

    def train_step(self, batch):
        (labeled_images, labels), unlabeled_images = self.prepare(batch)
        noise = self.noise(self.iterations, tf.shape(unlabeled_images)[0])[0]

        with tf.GradientTape() as g_tape:
            fake_images = self.generator(noise, training=True)
            with g_tape.stop_recording():  # the generator's gradient needs none of this update
                # 1. The discriminator, on labelled, unlabelled and generated images.
                kinds = (labeled_images, unlabeled_images, fake_images)
                images, sizes = ops.concatenate(kinds), [tf.shape(x)[0] for x in kinds]
                with tf.GradientTape() as d_tape:
                    features, outputs = self.features_and_outputs(images, training=True)
                    outputs_labeled, outputs_unlabeled, outputs_fake = tf.split(outputs, sizes)
                    c_loss = loss_labeled(outputs_labeled, labels)
                    d_loss_real = loss_real(self.logits(outputs_unlabeled))
                    d_loss_fake = loss_fake(self.logits(outputs_fake))
                    d_loss = (d_loss_real + d_loss_fake) / 2
                    loss = c_loss + self.adversarial_weight * d_loss
                    further, reported = self.loss_unlabeled(
                        batch[1], self.logits(outputs_unlabeled)
                    )
                    loss += further
                variables = self.discriminator.trainable_variables
                minimize(self.d_optimizer, d_tape, loss, variables)
                real_features = tf.split(ops.cast(features, "float32"), sizes)[1]

            # 2. The generator, whose images are to have the mean features of real ones.
            fake_features, _ = self.features_and_outputs(fake_images, training=True)
            g_loss = loss_features(real_features, ops.cast(fake_features, "float32"))
        variables = self.generator.trainable_variables
        minimize(self.g_optimizer, g_tape, g_loss, variables)

        return self.report(
            c_loss=c_loss,
            d_loss=d_loss,
            g_loss=g_loss,
            **self.head_accuracies(outputs_labeled, labels, outputs_unlabeled, outputs_fake),
            **reported,
        )

    def loss_unlabeled(self, images, logits):
        """A further loss of the discriminator on images without labels; here none.

        Args:
            images: not augmented, n×28×28×1 in [-1, 1].
            logits: of the classes, n×K, for the same images, augmented.

        Returns:
            The loss, a scalar; and what is reported of it, by name.
        """
        return 0.0, {}
