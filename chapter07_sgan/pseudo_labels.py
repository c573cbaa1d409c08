"""Pseudo-labels: the classifier's own confident answers as labels of images that have none.

Lee (2013) takes them from the network itself, for every image; FixMatch (Sohn et al. 2020) only
where it is confident, and from the image without augmentation. Here they come from a slower copy of
the network, whose weights are averages (the teacher of Tarvainen and Valpola 2017, *Mean
teachers*).
"""

from typing import ClassVar

import keras
import tensorflow as tf
from keras import ops

from chapter07_sgan.feature_matching import FeatureMatchingSGAN
from common import distribution
from common.averages import early_decay, update_averages

SHARES_DECAY = 0.99  # over about the last hundred batches; Berthelot et al. have 128
LEAST_SHARE = 1e-6  # of a class that is never predicted, so that nothing is divided by 0


def loss_pseudo_labels(logits, teacher_logits, confidence: float):
    """The loss on images that have a pseudo-label, and the share of images that have one.

    Args:
        logits: of the classes, by the network that learns, n×K.
        teacher_logits: of the same images, n×K; no gradient flows through them.
        confidence: an image has a pseudo-label if the teacher gives a class more than that.

    Returns:
        The mean of -log P(pseudo-label) over all images, where those without one count as 0; and
        the share. Two scalars.
    """
    probabilities = ops.stop_gradient(ops.softmax(teacher_logits))
    sure = ops.cast(ops.max(probabilities, axis=-1) > confidence, "float32")
    labels = ops.argmax(probabilities, axis=-1)
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return ops.mean(sure * losses), ops.mean(sure)


class PseudoLabelSGAN(FeatureMatchingSGAN):
    """A `FeatureMatchingSGAN` whose discriminator also learns from pseudo-labels.

    The teacher is a copy of the discriminator, whose weights are the moving average of the
    discriminator's. It sees each image as it is, and without noise; the discriminator is to give
    the same answer to the augmented image, and with noise.

    Args:
        weight: of the pseudo-labels' loss beside the others.
        confidence: the teacher's probability above which its answer is a pseudo-label.
        ramp: iterations (at least 1) in which the weight grows from 0, as the first answers are
            poor.
        align: distribution alignment (Berthelot et al. 2020, *ReMixMatch*, section 3.1): the
            teacher's probabilities are divided by the share that each class has of them on average,
            and made to sum to 1 again, so that no class grows at the cost of another. It takes the
            classes to be equally frequent.
        decay: of the teacher's moving average; less in the first steps, in which the average would
            otherwise be that of the initial weights.
    """

    METRICS = (*FeatureMatchingSGAN.METRICS, "pseudo_label_loss", "pseudo_label_share")
    PLOTS: ClassVar = FeatureMatchingSGAN.PLOTS | {
        "pseudo-labels": {
            "pseudo_label_loss": "loss, without its weight",
            "pseudo_label_share": "share of images that have one",
        }
    }

    def __init__(
        self,
        *args,
        weight=1.0,
        confidence=0.95,
        align=False,
        ramp=3_000,
        decay=0.99,
        **keyword_arguments,
    ):
        super().__init__(*args, **keyword_arguments)
        self.teacher = keras.models.clone_model(self.discriminator)
        self.teacher.set_weights(self.discriminator.get_weights())
        self.teacher.trainable = False
        self.weight, self.confidence = weight, confidence
        self.ramp, self.decay = ramp, decay
        self.class_shares = None
        if align:
            self.class_shares = self.add_weight(
                shape=(self.classes,),
                initializer=keras.initializers.Constant(1 / self.classes),
                trainable=False,
                name="class_shares",
            )

    def train_step(self, batch):
        results = super().train_step(batch)
        # 3. The teacher.
        decay = early_decay(self.decay, self.iterations)
        update_averages(self.teacher.weights, self.discriminator.weights, decay)
        return results

    def loss_unlabeled(self, images, logits):
        grown = ops.minimum(1.0, tf.cast(self.iterations, "float32") / self.ramp)
        teacher_logits = self.logits(self.teacher(images, training=False))
        if self.class_shares is not None:
            teacher_logits = self.aligned(teacher_logits)
        loss, share = loss_pseudo_labels(logits, teacher_logits, self.confidence)
        reported = {"pseudo_label_loss": loss, "pseudo_label_share": share}
        return self.weight * grown * loss, reported

    def aligned(self, teacher_logits):
        """Logits, n×K, of the probabilities divided by their moving average, which it updates."""
        shares = distribution.mean(ops.mean(ops.softmax(teacher_logits), axis=0))
        update_averages([self.class_shares], [shares], SHARES_DECAY)
        return teacher_logits - ops.log(ops.maximum(self.class_shares, LEAST_SHARE))
