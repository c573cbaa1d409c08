"""The hacks of GANs in Action, section 5.4, that change the training step rather than a network."""

import keras
import tensorflow as tf
from keras import ops

from chapter05_training.games import cross_entropy
from chapter05_training.gan import GameGAN
from common import distribution


class HackedGAN(GameGAN):
    """A GAN with soft labels, noisy labels, or feature matching.

    Args:
        label_smoothing: what the label of a real image is below 1 (Salimans et al. 2016, section
            3.4: for real images alone).
        label_noise: the share of images whose label the discriminator is told wrongly. Both work
            only with minimax and non-saturating, whose discriminators minimise a cross-entropy with
            labels.
        feature_matching: the generator is to match the mean features of the real images, rather
            than to fool (Salimans et al. 2016, section 3.1).
        arguments, settings: those of a GameGAN.

    Raises:
        ValueError: soft or noisy labels in a game without labels.
    """

    def __init__(
        self,
        *arguments,
        label_smoothing: float = 0.0,
        label_noise: float = 0.0,
        feature_matching: bool = False,
        **settings,
    ):
        super().__init__(*arguments, **settings)
        if (label_smoothing or label_noise) and self.game.discriminator_loss is not cross_entropy:
            raise ValueError("soft and noisy labels work only with minimax and non-saturating")
        self.label_smoothing = label_smoothing
        self.label_noise = label_noise
        self.feature_matching = feature_matching
        self.features = keras.Model(
            self.discriminator.inputs, self.discriminator.get_layer("features").output
        )

    def discriminator_loss(self, real, fake):
        if not self.label_smoothing and not self.label_noise:
            return super().discriminator_loss(real, fake)
        seeds = tf.random.split(self.update_seed(2), 2)
        labels_real = self.with_noise(tf.ones_like(real), seeds[0]) * (1 - self.label_smoothing)
        labels_fake = self.with_noise(tf.zeros_like(fake), seeds[1]) * (1 - self.label_smoothing)
        return cross_entropy_with(labels_real, real) + cross_entropy_with(labels_fake, fake)

    def with_noise(self, labels, seed):
        """Labels, n×1, of which a share is turned round."""
        chance = distribution.draw(
            tf.random.stateless_uniform, tf.shape(labels), seed, alg="philox"
        )
        return tf.where(chance < self.label_noise, 1 - labels, labels)

    def generator_loss(self, real_images, fake_images):
        if not self.feature_matching:
            return super().generator_loss(real_images, fake_images)
        return ops.sum(
            ops.square(self.mean_features(real_images) - self.mean_features(fake_images))
        )

    def mean_features(self, images):
        """Over the batch, in float32 whatever the network computes in."""
        features = ops.cast(self.features(images, training=True), "float32")
        return distribution.mean(ops.mean(features, axis=0))


def cross_entropy_with(labels, logits):
    """-E [label · log σ(f) + (1 - label) · log(1 - σ(f))], labels and logits n×1, a scalar."""
    return ops.mean(ops.softplus(logits) - labels * logits)
