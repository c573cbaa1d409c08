"""The auxiliary classifier GAN (ACGAN; Odena et al. 2017), which is not in the book's chapter 8."""

from typing import ClassVar

import keras

from chapter08_cgan.cgan import CGAN
from chapter08_cgan.variants import RegularizedCGAN
from common.distribution import undivided

class_cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class ACGAN(RegularizedCGAN):
    """A CGAN whose discriminator is not given the label, but predicts it.

    The cross-entropy of the classes is a term of each network's loss, in all three updates: the
    discriminator learns to classify real and generated images, and the generator to make images
    that the discriminator classifies as their label. So d_loss and g_loss contain it. c_loss is the
    cross-entropy alone, and c_accuracy the share of images whose class is predicted: means over the
    three batches that the discriminator sees in an iteration.

    Args:
        discriminator: images to logits of "real", n×1, and of the classes, n×classes. The other
            arguments are those of `RegularizedCGAN`.
    """

    PLOTS: ClassVar = {
        "loss": CGAN.PLOTS["loss"] | {"c_loss": "classes"},
        "discriminator's accuracy": CGAN.PLOTS["discriminator's accuracy"]
        | {"c_accuracy": "classes"},
    }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.c_loss = keras.metrics.Mean("c_loss")
        self.c_accuracy = keras.metrics.SparseCategoricalAccuracy("c_accuracy")

    @property
    def metrics(self):
        # Not in METRICS: `loss_and_logits` updates these two, once for each of the three batches.
        return [*super().metrics, self.c_loss, self.c_accuracy]

    def loss_and_logits(self, images, labels, loss_function):
        logits, class_logits = self.discriminator(images, training=True)
        c_loss = undivided(class_cross_entropy(labels, class_logits))
        self.c_loss.update_state(c_loss)
        self.c_accuracy.update_state(labels, class_logits)
        return loss_function(logits) + c_loss, logits
