"""Captions with their images, for training and for measuring."""

import dataclasses

import numpy as np

from chapter11_applications import captions, composition
from common import UserError
from common.classifier import Classifier
from common.data import Dataset

# Of a digit whose label the bundled classifier finds less probable, too little is left when it is
# redrawn at half its size: the reader of the images would be wrong as often as the generator.
LEAST_PROBABILITY = 0.99999
AT_LEAST = 10  # digits of each class to choose from


@dataclasses.dataclass(frozen=True)
class Digits:
    """Redrawn digits, uint8, n×2×2×16×16 (see `composition.redraw`), and their labels, n."""

    drawn: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Words and facts of captions, n×7 (see `captions.py`), and images, uint8, n×32×32×1."""

    words: np.ndarray
    facts: np.ndarray
    images: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """Words and facts together, n×2×7, for `stream.batches`."""
        return np.stack([self.words, self.facts], axis=1)


def clear_digits(images: np.ndarray, labels: np.ndarray, count: int, classifier) -> Digits:
    """Those of the first `count` digits that are clearly written, redrawn.

    Args:
        images: uint8, n×28×28×1.
        labels: n.
        classifier: the bundled `Classifier` of MNIST.

    Raises:
        UserError: of a class, fewer than AT_LEAST are.
    """
    images, labels = images[:count], labels[:count]
    _, probabilities = classifier(images)
    clear = probabilities[np.arange(len(labels)), labels] >= LEAST_PROBABILITY
    if np.bincount(labels[clear], minlength=10).min() < AT_LEAST:
        raise UserError(f"--digits {count}: too few; of one class, fewer than {AT_LEAST} are clear")
    return Digits(composition.redraw(images[clear]), labels[clear])


def all_digits(dataset: Dataset, count: int) -> tuple[Digits, Digits]:
    """For training from the first training images, and for measuring from the test images."""
    classifier = Classifier("mnist")
    return (
        clear_digits(dataset.x_train, dataset.y_train, count, classifier),
        clear_digits(dataset.x_test, dataset.y_test, count, classifier),
    )


def draw_scenes(
    digits: Digits, count: int, random: np.random.Generator, *, unseen: bool = False
) -> Scenes:
    """Random captions, and an image for each; `unseen`: see `captions.draw`."""
    words = captions.draw(count, random, unseen=unseen)
    facts = captions.facts_of(words)
    return Scenes(words, facts, composition.compose(facts, digits.drawn, digits.labels, random))


def halve(images: np.ndarray) -> np.ndarray:
    """Images of half the side, as means of 2×2 pixels: uint8, n×height×width×1."""
    n, height, width, channels = images.shape
    blocks = images.reshape(n, height // 2, 2, width // 2, 2, channels)
    return np.round(blocks.mean(axis=(2, 4))).astype(np.uint8)
