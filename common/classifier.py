"""The small classifiers whose features the metrics use: one for MNIST, one for Fashion-MNIST.

They do here what Inception does in the FID and the Inception Score of the literature: FID of
MNIST-sized pictures in Inception's features says little, and needs 90 MB of weights. How they were
trained, and how well they classify, is in common/classifiers/README.md.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers

from common import data

WEIGHTS = Path(__file__).resolve().parent / "classifiers"
FEATURES = 64
BATCH_SIZE = 200  # as fast as larger ones, in less memory


def build_classifier() -> keras.Model:
    """Images, n×28×28×1 in [-1, 1], to two outputs: features, n×64, and logits, n×10."""
    exact = {"dtype": "float32"}  # the figures must not depend on the precision of a run
    images = x = keras.Input((28, 28, 1))
    for filters, strides in ((24, 1), (24, 2), (48, 1), (48, 2), (48, 2)):  # 28 → 14 → 7 → 4
        x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False, **exact)(x)
        x = layers.BatchNormalization(**exact)(x)
        x = layers.ReLU(**exact)(x)
    x = layers.Flatten(**exact)(x)
    x = layers.Dropout(0.3, **exact)(x)
    features = layers.Dense(FEATURES, activation="relu", name="features", **exact)(x)
    logits = layers.Dense(10, name="logits", **exact)(layers.Dropout(0.3, **exact)(features))
    return keras.Model(images, [features, logits], name="classifier")


class Classifier:
    """A trained classifier.

    Args:
        name: what it was trained on, "mnist" or "fashion_mnist".
    """

    def __init__(self, name: str):
        self.model = build_classifier()
        self.model.load_weights(WEIGHTS / f"{name}.weights.h5")

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features and class probabilities of images.

        Args:
            images: n×28×28×1; float in [-1, 1], or uint8.

        Returns:
            Features, float64, n×64, and the ten classes' probabilities, float64, n×10.

        Raises:
            ValueError: there are no images, or their type, shape or values are not these.
        """
        images = np.asarray(images)
        if len(images) == 0 or images.shape[1:] != (28, 28, 1):
            raise ValueError(f"images of shape {images.shape}, not n×28×28×1")
        if images.dtype != np.uint8:
            if images.dtype.kind != "f":
                raise ValueError(f"images must be uint8 or float in [-1, 1], not {images.dtype}")
            if not np.max(np.abs(images)) <= 1.001:  # False for NaN
                low, high = images.min(), images.max()
                raise ValueError(f"images from {low:g} to {high:g}, not within [-1, 1]")
        parts = []
        for start in range(0, len(images), BATCH_SIZE):
            part = images[start : start + BATCH_SIZE]
            if part.dtype == np.uint8:
                part = data.scale(part)
            parts.append([keras.ops.convert_to_numpy(y) for y in self.model(part, training=False)])
        features, logits = (np.concatenate(y).astype(np.float64) for y in zip(*parts, strict=True))
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return features, exponentials / exponentials.sum(axis=1, keepdims=True)
