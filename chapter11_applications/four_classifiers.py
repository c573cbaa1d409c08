"""The comparison of augmentation.py: one classifier, trained in four ways on the same few images.

none: the images; classic: variations of them; gan: half of each batch is generated; both: half of
it is generated, the other half are variations.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common import data
from common.distribution import minimize, undivided
from common.model import ChapterModel, normal_noise, predict
from common.random_layers import set_random_layers

WAYS = ("none", "classic", "gan", "both")
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class FourClassifiers(ChapterModel):
    """Trains the four side by side: they see the same images in the same order, equally often.

    Args:
        classifiers: by way, images to logits, n×K, with equal initial weights.
        generator: noise and labels to images; it has been trained.
        augmentation: a `transforms.Augmentation`.
        generated: images of each batch that are generated ones, for gan and for both.
        seed: a tf.Variable of int32, so that the compiled step serves for all seeds; with the
            iteration, it sets all that is random in a training step.
    """

    METRICS = WAYS  # each one's loss

    def __init__(self, classifiers, generator, augmentation, generated, seed):
        super().__init__()
        self.classifiers = dict(classifiers)
        self.generator = generator
        self.augmentation = augmentation
        self.generated = generated
        self.seed = seed

    def compile(self, optimizers, **kwargs):
        """As `ChapterModel`'s.

        Args:
            optimizers: by way.
        """
        super().compile(optimizer=None, **kwargs)
        self.optimizers = dict(optimizers)
        for way in WAYS:
            self.optimizers[way].build(self.classifiers[way].trainable_variables)

    @property
    def iterations(self):
        """Training steps done so far: each classifier is updated once in each."""
        return self.optimizers[WAYS[0]].iterations

    def train_step(self, batch):
        images, labels = batch
        iteration = tf.cast(self.iterations, tf.int64)  # as it is now, before the updates
        step_seed = tf.stack([self.seed, tf.cast(iteration, tf.int32)])

        # 1. What each is to see. Generated images take the place, and the labels, of real ones.
        varied = self.augmentation(images, tf.random.fold_in(step_seed, 1))
        count = self.generated // self.replicas
        latent_dim = self.generator.inputs[0].shape[-1]
        # Below 0: noise that the generator's training has not seen.
        noise = normal_noise((count, latent_dim), self.seed, -2 - iteration)
        made = self.generator([noise, labels[-count:]], training=False)
        seen = {
            "none": images,
            "classic": varied,
            "gan": tf.concat([images[:-count], made], axis=0),
            "both": tf.concat([varied[:-count], made], axis=0),
        }

        # 2. One update of each.
        losses = {way: self.update(way, seen[way], labels, iteration) for way in WAYS}
        return self.report(**losses)

    def update(self, way, images, labels, iteration):
        """One update of one classifier; gives its loss."""
        classifier = self.classifiers[way]
        # The same dropout for all four.
        set_random_layers(classifier, tf.cast(self.seed, tf.int64), iteration)
        with tf.GradientTape() as tape:
            loss = undivided(cross_entropy(labels, classifier(images, training=True)))
        minimize(self.optimizers[way], tape, loss, classifier.trainable_variables)
        return loss

    def measure(self, images: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, Any]]:
        """Of each way, the `rates` of its classifier on test images, uint8."""
        classes = int(labels.max()) + 1
        return {way: rates(labels, self.classify(way, images), classes) for way in WAYS}

    def classify(self, way: str, images: np.ndarray) -> np.ndarray:
        """The classes, n, that a classifier predicts for images, uint8, n×height×width×channels."""
        logits = [
            predict(self.classifiers[way], data.scale(images[start : start + 1000]))
            for start in range(0, len(images), 1000)  # scaled, all would take much memory
        ]
        return np.argmax(np.concatenate(logits), axis=1)


def rates(labels: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Any]:
    """Accuracy; and sensitivity and specificity of each class, and as means over the classes.

    Sensitivity of a class: the share of its images that are taken for it. Specificity: the share of
    the others' images that are not. Of two classes, the sensitivity of one is the specificity of
    the other; so both means are the same number, and the class that is looked for tells more.
    """
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, predicted), 1)
    right = np.diag(counts)
    own, taken = counts.sum(axis=1), counts.sum(axis=0)
    others = len(labels) - own
    sensitivity, specificity = right / own, (others - (taken - right)) / others
    return {
        "accuracy": float(right.sum() / len(labels)),
        "sensitivity": float(np.mean(sensitivity)),
        "specificity": float(np.mean(specificity)),
        "sensitivity_of_class": sensitivity.tolist(),
        "specificity_of_class": specificity.tolist(),
    }
