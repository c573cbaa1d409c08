"""Reads from an image what a caption could say of it: what measures the generators.

Layout, size and stroke are measured by NumPy, from the ink. The digits are read by a small
classifier that is trained on redrawn digits of MNIST, real ones alone: it has no part in the GAN.
"""

import math

import keras
import numpy as np
from keras import layers

from chapter11_applications.captions import FACTS, UNSAID
from chapter11_applications.composition import EXTENTS, PATCH
from common import data
from common.model import predict

INK = 0.3  # from 0, black, to 1: pixels with more count for a digit's extent
HALF = PATCH // 2
LARGE = sum(EXTENTS) / 2  # between the lengths of a small and of a large digit's skeleton
BOLD = 1.8  # between the widths that `stroke_widths` finds: pixels make thin strokes wider
BATCH = 128


def split(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts images between their digits.

    Args:
        images: float in [-1, 1], n×32×32×1.

    Returns:
        Whether the digits stand one above the other, n, bool: the two rows in the middle are then
        emptier than the two columns. And the ink of each digit, in [0, 1], n×2×16×16, with the
        middle of the digit in the middle.
    """
    ink = (np.clip(images[..., 0], -1, 1) + 1) / 2
    middle = slice(PATCH - 1, PATCH + 1)
    stacked = ink[:, middle].sum(axis=(1, 2)) < ink[:, :, middle].sum(axis=(1, 2))
    digits = np.zeros((len(ink), 2, PATCH, PATCH), np.float32)
    for image, above, pair in zip(ink, stacked, digits, strict=True):
        for half, patch in zip(np.split(image, 2, axis=0 if above else 1), pair, strict=True):
            cut_out(half, patch)
    return stacked, digits


def cut_out(half: np.ndarray, patch: np.ndarray) -> None:
    """Copies the ink around a digit's middle into a patch, 16×16; none, if there is no ink."""
    rows, columns = np.nonzero(half > INK)
    if len(rows) == 0:
        return
    top, left = (round((i.min() + i.max() + 1) / 2) for i in (rows, columns))
    padded = np.pad(half, HALF)
    patch[:] = padded[top : top + PATCH, left : left + PATCH]


def extents(digits: np.ndarray) -> np.ndarray:
    """The longer side of the rectangle around each digit's ink, pixels: …, from …×16×16."""
    return np.maximum(*(np.sum(np.max(digits, axis=axis) > INK, axis=-1) for axis in (-1, -2)))


def stroke_widths(digits: np.ndarray) -> np.ndarray:
    """The mean width of each digit's strokes, pixels: …, from ink in [0, 1], …×16×16.

    A stroke of width w and length l has w·l ink and two edges of length l. The length of all edges
    is the total variation: the sum over the pixels of the gradient's norm.
    """
    down = np.diff(digits, axis=-2, append=0)
    right = np.diff(digits, axis=-1, append=0)
    edges = np.sqrt(down**2 + right**2).sum(axis=(-1, -2))
    return 2 * digits.sum(axis=(-1, -2)) / np.maximum(edges, 1e-6)


def build_classifier() -> keras.Model:
    """Ink of digits, n×16×16×1 in [0, 1], to logits, n×10."""
    exact = {"dtype": "float32"}  # figures do not depend on the precision of a run
    ink = x = keras.Input((PATCH, PATCH, 1))
    for filters, strides in ((24, 1), (24, 2), (48, 1), (48, 2)):  # 16×16 → 8×8 → 4×4
        x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False, **exact)(x)
        x = layers.BatchNormalization(**exact)(x)
        x = layers.ReLU(**exact)(x)
    x = layers.Dropout(0.3, **exact)(layers.Flatten(**exact)(x))
    x = layers.Dense(96, activation="relu", **exact)(x)
    return keras.Model(ink, layers.Dense(10, **exact)(x), name="digit_classifier")


def train_classifier(drawn: np.ndarray, labels: np.ndarray, epochs: int, seed: int) -> keras.Model:
    """Trains a classifier on redrawn digits, n×2×2×16×16, and their labels, n."""
    keras.utils.set_random_seed(seed)
    ink = drawn.reshape(-1, PATCH, PATCH, 1).astype(np.float32) / 255
    centred = np.zeros_like(ink)
    for patch, centred_patch in zip(ink, centred, strict=True):
        cut_out(patch[..., 0], centred_patch[..., 0])
    classifier = build_classifier()
    updates = epochs * -(-len(ink) // BATCH)
    classifier.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, updates)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        auto_scale_loss=False,
    )
    classes = np.repeat(labels, len(ink) // len(labels))
    classifier.fit(centred, classes, batch_size=BATCH, epochs=epochs, verbose=0)
    return classifier


def read(images: np.ndarray, classifier: keras.Model) -> np.ndarray:
    """What is in images, uint8 or float in [-1, 1], n×32×32×1: facts, n×7, all of them said."""
    if images.dtype == np.uint8:
        images = data.scale(images)
    stacked, digits = split(images)
    widths = stroke_widths(digits)
    skeletons = extents(digits) - widths  # a digit is longer than its skeleton by its stroke
    classes = predict(classifier, digits.reshape(-1, PATCH, PATCH, 1)).argmax(axis=-1)
    found = np.stack([skeletons > LARGE, widths > BOLD, classes.reshape(-1, 2)], axis=-1)
    return np.concatenate([stacked[:, None], found.reshape(-1, 6)], axis=1).astype(np.int32)


def shares_right(found: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """In what share of images each fact is as its caption says, and all that the caption says is.

    Args:
        found: facts of images, n×7, as `read` gives them.
        said: facts of their captions, n×7, with UNSAID, which counts for nothing.

    Returns:
        "all", and by the names of FACTS; NaN for what no caption says.
    """
    right = (found == said) | (said == UNSAID)
    shares = {"all": float(np.mean(right.all(axis=1)))}
    for name, column in zip(FACTS, (found == said).T, strict=True):
        of_those = said[:, list(FACTS).index(name)] != UNSAID
        shares[name] = float(np.mean(column[of_those])) if of_those.any() else math.nan
    return shares
