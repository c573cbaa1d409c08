"""How good translations are: does a classifier take them for the other domain, do cycles close?"""

import keras
import numpy as np

from chapter09_cyclegan.networks import build_classifier
from common.data import scale

BATCH_SIZE = 50  # of images of 32×32; fewer of larger ones
LARGEST = 32  # pixels; the judge sees larger images brought down to this


class Judge:
    """A small classifier, trained on the two domains' training images to tell B from A.

    Args:
        domains: `data.Domains`.
        epochs: passes over the training images.
        seed: of its initial weights and the order of its training.
    """

    def __init__(self, domains, epochs: int, seed: int = 0):
        keras.utils.set_random_seed(seed)
        self.classifier = build_classifier(domains.image_shape[-1])
        flip = keras.layers.RandomFlip("horizontal", dtype="float32")
        shift = keras.layers.RandomTranslation(0.1, 0.1, dtype="float32")
        learner = keras.Sequential([flip, shift, self.classifier])
        pictures = [self._small(part) for part in (domains.train_A, domains.train_B)]
        labels = np.repeat([0, 1], [len(part) for part in pictures])
        # Without the decay to 0, what the last few batches were like would decide a few per cent.
        rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * -(-len(labels) // BATCH_SIZE))
        learner.compile(
            keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True)
        )
        each = len(labels) / (2 * np.bincount(labels))  # both domains count as much
        learner.fit(
            np.concatenate(pictures),
            labels[:, np.newaxis],
            batch_size=BATCH_SIZE,
            epochs=epochs,
            class_weight=dict(enumerate(each)),
            verbose=0,
        )

    def share_of_B(self, pictures: np.ndarray) -> float:
        """The share of images, float in [-1, 1], that it takes for domain B."""
        logits = self.classifier.predict(self._shrink(pictures), batch_size=BATCH_SIZE, verbose=0)
        return float(np.mean(logits > 0))

    def _small(self, pictures):
        """Training images, uint8, as the classifier sees them."""
        parts = [
            self._shrink(scale(pictures[np.arange(start, min(start + 500, len(pictures)))]))
            for start in range(0, len(pictures), 500)
        ]
        return np.concatenate(parts)

    def _shrink(self, pictures):
        if pictures.shape[1] <= LARGEST:
            return pictures
        small = keras.ops.image.resize(pictures, (LARGEST, LARGEST), antialias=True)
        return keras.ops.convert_to_numpy(small)


def translate(generator: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """Images float in [-1, 1], n×height×width×channels, as the generator turns them."""
    size = max(1, BATCH_SIZE * 32 * 32 // (pictures.shape[1] * pictures.shape[2]))
    return generator.predict(pictures, batch_size=size, verbose=0)


def evaluate(gan, domains, judge: Judge) -> dict[str, float]:
    """What is measured on the test images.

    Returns:
        By name, with AB for the direction A to B: `AB_target`, the share of translations that the
        judge takes for the target domain; `AB_cycle_error`, mean absolute difference of images and
        what comes back from the cycle; `AB_change`, of images and their translation;
        `AB_identity_error`, of images that are in B already and what the generator to B makes of
        them.
    """

    def measure(there, back, originals, targets):
        def of_translating(pictures):
            translated = translate(there, pictures)
            cycle_error = _difference(pictures, translate(back, translated))
            return judge.share_of_B(translated), cycle_error, _difference(pictures, translated)

        def of_targets(pictures):
            return _difference(pictures, translate(there, pictures))

        return *_mean(of_translating, originals), _mean(of_targets, targets)

    to_B = measure(gan.g_AB, gan.g_BA, domains.test_A, domains.test_B)
    of_B, *errors = measure(gan.g_BA, gan.g_AB, domains.test_B, domains.test_A)
    measured = {}
    for name, values in (("AB", to_B), ("BA", (1 - of_B, *errors))):
        for what, value in zip(
            ("target", "cycle_error", "change", "identity_error"), values, strict=True
        ):
            measured[f"{name}_{what}"] = float(value)
    return measured


def of_doing_nothing(domains, judge: Judge) -> dict[str, float]:
    """The target shares of the untranslated test images: the judge's own errors."""
    return {
        "untranslated_AB_target": float(_mean(judge.share_of_B, domains.test_A)),
        "untranslated_BA_target": float(1 - _mean(judge.share_of_B, domains.test_B)),
    }


def cycles(gan, domains, rows: int) -> np.ndarray:
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


def _mean(measure, pictures):
    """Mean of what is measured of images, a number or several; a hundred at a time.

    As float32, and with what networks make of them in between, all might not fit into memory.
    """
    total = 0.0
    for start in range(0, len(pictures), 100):
        part = scale(pictures[start : start + 100])
        total = total + len(part) * np.asarray(measure(part))
    return total / len(pictures)


def _difference(one, other):
    return float(np.mean(np.abs(one - other)))
