"""How new designs are, how real, and whether they are what was asked for."""

import numpy as np
from keras import ops

from chapter11_applications.styles import Styles
from common import data, metrics
from common.model import normal_noise, predict

DISTANCES = ("pixels", "features", "style")


class Measurement:
    """Measures garments against the training images, and real test images for comparison.

    Args:
        dataset: Fashion-MNIST, or a part of it.
        styles: those of its training images.
        count: garments whose novelty is measured, and as many test images.
    """

    def __init__(self, dataset: data.Dataset, styles: Styles, count: int):
        self.dataset, self.styles = dataset, styles
        self.evaluator = metrics.Evaluator(dataset.name, dataset.x_test)
        self.features, _ = self.evaluator.classifier(dataset.x_train)
        self.kinds = np.resize(dataset.y_test, count)  # of the garments to be measured
        self.test = self.novelty(dataset.x_test[:count], dataset.y_test[:count])
        # The evaluator would look at the test images again, for their features.
        self.evaluator.real_features, probabilities = self.evaluator.classifier(dataset.x_test)
        self.test_label_accuracy = metrics.label_accuracy(probabilities, dataset.y_test)

    def novelty(self, images: np.ndarray, kinds: np.ndarray) -> dict[str, np.ndarray]:
        """Of each image, uint8, of a kind, how far it is from what is known.

        Returns:
            `nearest`: the index of the training image of this kind whose pixels are nearest.
            `pixels`: the distance to it, root mean square of pixels in [-1, 1]. `features`: the
            distance to the nearest in the classifier's features, root mean square. `style`: the
            distance to the centre of the nearest style, in standard deviations of the kind.
        """
        features, _ = self.evaluator.classifier(images)
        found = {name: np.zeros(len(images)) for name in ("pixels", "features")}
        nearest = np.zeros(len(images), np.int64)
        for kind in np.unique(kinds):
            asked = np.flatnonzero(kinds == kind)
            known = np.flatnonzero(self.dataset.y_train == kind)
            index, found["pixels"][asked] = metrics.nearest(
                data.scale(images[asked]), data.scale(self.dataset.x_train[known])
            )
            nearest[asked] = known[index]
            _, found["features"][asked] = metrics.nearest(features[asked], self.features[known])
        style = self.styles.distances(images, kinds).min(axis=1)
        return {"nearest": nearest, **found, "style": style}

    def report(self, gan, fid_images: int) -> dict:
        """What results.json says of a trained GAN; beside its novelties those of the test images.

        Args:
            gan: a `creative.CreativeGAN`.
        """
        designs = self.designs(gan.generator, gan.seed)
        novelty = self.novelty(designs, self.kinds)
        means = {}
        for name in DISTANCES:
            means[f"{name}_distance"] = float(np.mean(novelty[name]))
            means[f"test_{name}_distance"] = float(np.mean(self.test[name]))
        means["style_entropy"] = entropy(gan, data.scale(designs))
        means["test_style_entropy"] = entropy(gan, data.scale(self.dataset.x_test))
        means["test_label_accuracy"] = self.test_label_accuracy
        return means | self.realism(gan, fid_images)

    def realism(self, gan, count: int) -> dict:
        """FID, label accuracy and the like of so many garments of the test images' kinds."""
        kinds = np.resize(self.dataset.y_test, count)
        return self.evaluator.report(
            lambda n: gan.generate(gan.fixed_noise(n), kinds[:n]), count, kinds
        )

    def designs(self, generator, seed: int) -> np.ndarray:
        """Garments of `kinds`, uint8, from noise that is the same for all generators of a seed."""
        noise = normal_noise((len(self.kinds), generator.inputs[0].shape[-1]), seed, -1).numpy()
        return np.round((predict(generator, [noise, self.kinds]) + 1) * 127.5).astype(np.uint8)


def entropy(gan, images: np.ndarray) -> float:
    """Mean entropy, in nats, of the styles that the discriminator names; images in [-1, 1].

    From 0, where it is sure, to the logarithm of their number. The generator was trained against
    this very discriminator, and may deceive it: the style distance asks nobody's opinion.
    """
    entropies = []
    for start in range(0, len(images), 500):
        logits = gan.discriminator(images[start : start + 500], training=False)[2]
        logs = ops.log_softmax(logits, axis=1)
        entropies.append(ops.convert_to_numpy(-ops.sum(ops.exp(logs) * logs, axis=1)))
    return float(np.mean(np.concatenate(entropies)))
