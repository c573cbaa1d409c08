"""How good translations are: does a classifier take them for the target domain, do cycles close?"""

import keras
import numpy as np

from chapter09_cyclegan.networks import build_classifier
from common.data import scale
from common.model import predict

BATCH_SIZE = 50  # of images of 32×32; fewer of larger ones
LARGEST = 32  # pixels; the classifier sees larger images brought down to this
MOST_PIXELS = 100 * 256 * 256  # of the images that are float32 at the same time


class Evaluator:
    """Measures on the test images, with a small classifier that tells domain B from A.

    The classifier is trained on the domains' training images.

    Args:
        domains: `domains.Domains`.
        epochs: passes over the training images.
        seed: of the classifier's initial weights and the order of its training.
        mirrored: train on mirrored images, too. Photos and clothes stay what they are; of digits, a
            mirrored 2 is nearly a 5.
    """

    def __init__(self, domains, epochs: int, seed: int = 0, mirrored: bool = True):
        self.domains = domains
        keras.utils.set_random_seed(seed)
        self.classifier = build_classifier(domains.image_shape[-1])
        flips = [keras.layers.RandomFlip("horizontal", dtype="float32")] if mirrored else []
        shift = keras.layers.RandomTranslation(0.1, 0.1, dtype="float32")
        learner = keras.Sequential([*flips, shift, self.classifier])
        images = [_for_training(part) for part in (domains.train_A, domains.train_B)]
        labels = np.repeat([0, 1], [len(part) for part in images])
        # Without the decay to 0, the last few batches would decide a few per cent.
        rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * -(-len(labels) // BATCH_SIZE))
        learner.compile(
            keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True)
        )
        class_weight = len(labels) / (2 * np.bincount(labels))  # both domains count as much
        learner.fit(
            np.concatenate(images),
            labels[:, np.newaxis],
            batch_size=BATCH_SIZE,
            epochs=epochs,
            class_weight=dict(enumerate(class_weight)),
            verbose=0,
        )

    def share_of_B(self, images: np.ndarray) -> float:
        """The share of images, float in [-1, 1], that the classifier takes for domain B."""
        logits = predict(self.classifier, _shrink(images), BATCH_SIZE)
        return float(np.mean(logits > 0))

    def evaluate(self, gan) -> dict[str, float]:
        """Measures both generators on the test images.

        Returns:
            By name, with AB for the direction A to B: `AB_target`, the share of translations that
            the classifier takes for the target domain; `AB_cycle_error`, mean absolute difference
            of images and what comes back from the cycle; `AB_change`, of images and their
            translation; `AB_identity_error`, of images that are in B already and their translation
            to B.
        """
        test_A, test_B = self.domains.test_A, self.domains.test_B
        to_B = self._evaluate_direction(gan.g_AB, gan.g_BA, test_A, test_B)
        share_of_B, *errors = self._evaluate_direction(gan.g_BA, gan.g_AB, test_B, test_A)
        names = ("target", "cycle_error", "change", "identity_error")
        return {
            f"{direction}_{name}": float(value)
            for direction, values in (("AB", to_B), ("BA", (1 - share_of_B, *errors)))
            for name, value in zip(names, values, strict=True)
        }

    def evaluate_untranslated(self) -> dict[str, float]:
        """The target shares of the untranslated test images: the classifier's own errors."""
        return {
            "untranslated_AB_target": float(_mean(self.share_of_B, self.domains.test_A)),
            "untranslated_BA_target": float(1 - _mean(self.share_of_B, self.domains.test_B)),
        }

    def _evaluate_direction(self, there, back, originals, targets):
        """Of translations: share of B, cycle error and change; of targets: the identity error."""

        def of_translating(images):
            translated = translate(there, images)
            cycle_error = _difference(images, translate(back, translated))
            return self.share_of_B(translated), cycle_error, _difference(images, translated)

        def of_targets(images):
            return _difference(images, translate(there, images))

        return *_mean(of_translating, originals), _mean(of_targets, targets)


def translate(generator: keras.Model, images: np.ndarray) -> np.ndarray:
    """Images float in [-1, 1], n×height×width×channels, as the generator turns them."""
    size = max(1, BATCH_SIZE * 32 * 32 // (images.shape[1] * images.shape[2]))
    return predict(generator, images, size)


def sample_cycles(gan, domains, rows: int) -> np.ndarray:
    """Test images and what both cycles make of them, (6·rows)×height×width×channels.

    A row is an image of A, translated, and translated back; then the same for one of B.
    """
    rows = min(rows, len(domains.test_A), len(domains.test_B))
    columns = []
    for there, back, originals in (
        (gan.g_AB, gan.g_BA, scale(domains.test_A[:rows])),
        (gan.g_BA, gan.g_AB, scale(domains.test_B[:rows])),
    ):
        translated = translate(there, originals)
        columns += [originals, translated, translate(back, translated)]
    page = np.stack(columns, axis=1)  # rows×6×height×width×channels
    return page.reshape(-1, *page.shape[2:])


def _for_training(images):
    """Training images, uint8, as the classifier sees them."""
    count = _at_a_time(images, most=500)
    parts = [
        _shrink(scale(images[np.arange(start, min(start + count, len(images)))]))
        for start in range(0, len(images), count)
    ]
    return np.concatenate(parts)


def _at_a_time(images, most: int) -> int:
    """How many images are float32 at the same time: `most`, or as many as have MOST_PIXELS."""
    return max(1, min(most, MOST_PIXELS // (images.shape[1] * images.shape[2])))


def _shrink(images):
    if images.shape[1] <= LARGEST:
        return images
    small = keras.ops.image.resize(images, (LARGEST, LARGEST), antialias=True)
    return keras.ops.convert_to_numpy(small)


def _mean(measure, images):
    """Mean of what is measured of images, a number or several; some images at a time.

    As float32, and with the networks' activations, all might not fit into memory.
    """
    total: np.ndarray | float = 0.0
    count = _at_a_time(images, most=100)
    for start in range(0, len(images), count):
        part = scale(images[start : start + count])
        total = total + len(part) * np.asarray(measure(part))
    return total / len(images)


def _difference(one, other):
    return float(np.mean(np.abs(one - other)))
