"""The comparison of chapter 7: which images have labels, the baseline, and how often each is right.

The baseline is the discriminator's own network, trained on the labelled images alone (GANs in
Action, section 7.3.5).
"""

import keras
import numpy as np

from common import UserError, data


def choose_labeled(labels: np.ndarray, count: int, balanced: bool, seed: int) -> np.ndarray:
    """Which training images keep their labels: indices, `count` of them.

    Args:
        labels: of all training images, n, 0 to 9.
        balanced: as many of each class, drawn by the seed; otherwise the first.

    Raises:
        UserError: there are not so many images, or the number is no multiple of the classes'.
    """
    if count > len(labels):
        raise UserError(f"--labeled {count} is more than the {len(labels)} training images")
    if not balanced:
        return np.arange(count)
    classes = np.unique(labels)
    if count % len(classes):
        raise UserError(
            f"--labeled {count} is not a multiple of {len(classes)} classes; "
            "--no-balanced takes the first images as they come"
        )
    random = np.random.default_rng(seed)
    each = count // len(classes)
    members = [np.flatnonzero(labels == label) for label in classes]
    if each > min(map(len, members)):
        raise UserError(
            f"--labeled {count}: there are not {each} images of each class; "
            "--no-balanced takes the first images as they come"
        )
    return np.sort(np.concatenate([random.choice(m, each, replace=False) for m in members]))


def train_supervised(
    network: keras.Model,
    augmentation: keras.Model | None,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    learning_rate: float,
    batch_size: int,
    epochs: int,
) -> None:
    """Trains a discriminator's network as a classifier and nothing else.

    Args:
        network: images to logits, n×K or n×(K + 1); the last of K + 1 is never a label.
        augmentation: changes the images before each use, or None.
        images: uint8, n×28×28×1.
        labels: n, 0 to K - 1.
    """
    supervised = keras.Sequential(list(filter(None, [augmentation, network])))
    supervised.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    supervised.fit(data.scale(images), labels, batch_size=batch_size, epochs=epochs, verbose=0)


def classify(network: keras.Model, images: np.ndarray, classes: int) -> np.ndarray:
    """The classes, n, that a discriminator's network predicts for images, uint8, n×28×28×1."""
    logits = network.predict(data.scale(images), batch_size=500, verbose=0)
    return np.argmax(logits[:, :classes], axis=1)  # without the logit of "fake"
