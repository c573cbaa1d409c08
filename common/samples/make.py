"""Makes this folder's .npz file from the package that ships the data; see README.md.

apt-get install dataset-fashion-mnist
python common/samples/make.py
"""

import gzip
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FASHION = Path("/usr/share/datasets/fashion-mnist")


def save(name, images, labels, test_per_class):
    """Splits each class into training and test images, mixes the classes and writes Keras' layout.

    The shuffle is seeded, so the order is the same each time. Chapter 7 takes its labelled images
    from the front of the training set, so the classes must not stand in blocks.
    """
    random = np.random.default_rng(0)
    by_class = [random.permutation(np.flatnonzero(labels == label)) for label in range(10)]
    test = random.permutation(np.concatenate([rows[:test_per_class] for rows in by_class]))
    train = random.permutation(np.concatenate([rows[test_per_class:] for rows in by_class]))
    np.savez_compressed(
        HERE / f"{name}.npz",
        x_train=images[train],
        y_train=labels[train],
        x_test=images[test],
        y_test=labels[test],
    )


if __name__ == "__main__":
    images = gzip.open(FASHION / "t10k-images-idx3-ubyte.gz").read()[16:]
    labels = gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz").read()[8:]
    save(
        "fashion_mnist",
        np.frombuffer(images, np.uint8).reshape(-1, 28, 28),
        np.frombuffer(labels, np.uint8),
        test_per_class=200,
    )
