"""The GAN that is asked for a garment of a known kind in no known style (section 11.2).

Sbai et al. 2018, DesIGN: the discriminator does not only judge, it also names the kind and the
style of a garment. The generator is given a kind, and is to make an image that passes for real,
whose kind is named right, and whose style cannot be named: all styles are to seem equally likely.
"""

from typing import ClassVar

import keras
import tensorflow as tf
from keras import ops

from chapter11_applications.gan_losses import discriminator_loss, generator_loss
from common.distribution import minimize, undivided
from common.gan import BaseGAN, accuracies
from common.model import predict
from common.penalties import r1_penalty

naming_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def creative_loss(style_logits):
    """Cross-entropy between the uniform distribution and P(style), whose logits are n×K.

    Sbai et al. (2018) call it the multi-class cross-entropy (MCE) form. It is the mean of
    -1/K Σ log P(style k), least where all styles are equally likely, and the entropy greatest:
    log K.
    """
    return -ops.mean(ops.log_softmax(style_logits, axis=1))


class CreativeGAN(BaseGAN):
    """Trains a generator and a discriminator that names kind and style.

    Args:
        generator: noise, n×latent_dim, and kinds, n, to images in [-1, 1].
        discriminator: images to logits of "real", n×1, of the kinds and of the styles.
        creativity: weight of the creative loss; 0 is a GAN without it, which is in all else the
            same.
        r1: weight of the gradient penalty, γ.
        seed: with the iteration, sets the noise of each training step.
    """

    METRICS = (*BaseGAN.METRICS, "kind_accuracy", "style_accuracy", "creative_loss")
    PLOTS: ClassVar = BaseGAN.PLOTS | {
        "right names, of real images": {"kind_accuracy": "kind", "style_accuracy": "style"},
        "creative loss": {"creative_loss": "of generated images"},
    }

    def __init__(self, generator, discriminator, creativity=1.0, r1=1.0, seed=0):
        super().__init__(generator, discriminator, seed)
        self.creativity = creativity
        self.r1 = r1

    def train_step(self, batch):
        real_images, labels = batch  # n×2: of kind and style
        kinds, styles = tf.unstack(labels, axis=1)
        noise = self.noise(self.iterations, tf.shape(kinds)[0])[0]

        with tf.GradientTape() as g_tape:
            # 1. Garments of the same kinds are generated.
            fake_images = self.generator([noise, kinds], training=True)

            # 2. The discriminator's update: it judges real and generated images, and names kind and
            # style of the real ones. It has no part in the generator's gradient.
            with g_tape.stop_recording():
                with tf.GradientTape() as d_tape:
                    named, penalty = r1_penalty(self.judge, real_images)
                    logits_real, kind_logits, style_logits = named
                    logits_fake, _, _ = self.judge(fake_images)
                    d_loss = discriminator_loss(logits_real, logits_fake)
                    kind_loss = undivided(naming_loss(kinds, kind_logits))
                    style_loss = undivided(naming_loss(styles, style_logits))
                    total = d_loss + kind_loss + style_loss + self.r1 / 2 * penalty
                minimize(self.d_optimizer, d_tape, total, self.discriminator.trainable_variables)

            # 3. The generator's: real, of its kind, and of no style.
            logits_made, made_kinds, made_styles = self.judge(fake_images)
            g_loss = generator_loss(logits_made) + undivided(naming_loss(kinds, made_kinds))
            no_style = creative_loss(made_styles)
            g_total = g_loss + self.creativity * no_style
        minimize(self.g_optimizer, g_tape, g_total, self.generator.trainable_variables)

        return self.report(
            d_loss=d_loss / 2,  # the mean over real and generated images
            g_loss=g_loss,
            kind_accuracy=named_right(kinds, kind_logits),
            style_accuracy=named_right(styles, style_logits),
            creative_loss=no_style,
            **accuracies(logits_real, logits_fake),
        )

    def judge(self, images):
        """The discriminator's logits of "real", n×1, of the kinds and of the styles."""
        return self.discriminator(images, training=True)

    def generate(self, noise, kinds):
        """Images of noise, n×latent_dim, and kinds, n: n×height×width×channels in [-1, 1]."""
        return predict(self.generator, [noise, kinds])


def named_right(labels, logits):
    """Share of images whose likeliest name is their label."""
    named = ops.cast(ops.argmax(logits, axis=1), labels.dtype)
    return ops.mean(ops.cast(named == labels, "float32"))
