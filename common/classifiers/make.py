"""Trains the two classifiers of this folder on the full training sets; see README.md.

    python -m common.classifiers.make --data-dir DIR      a folder with mnist and fashion_mnist

Nothing was chosen by the test images: they are looked at once, after the last epoch.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf

from common import data, device
from common.classifier import WEIGHTS, build_classifier

EPOCHS = 12
BATCH_SIZE = 128


def batches(images, labels, flip):
    """Shuffled batches in [-1, 1], each shifted as a whole; clothes are mirrored one by one."""

    def augment(images, labels):
        images = tf.pad(images, [[0, 0], [2, 2], [2, 2], [0, 0]])
        images = tf.image.random_crop(images, (BATCH_SIZE, 28, 28, 1), seed=1)
        if flip:
            images = tf.image.random_flip_left_right(images, seed=2)
        return tf.cast(images, tf.float32) / 127.5 - 1, labels

    pairs = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images), seed=0)
    return pairs.batch(BATCH_SIZE, drop_remainder=True).map(augment).prefetch(2)


def train(name, folder):
    device.setup(seed=0)
    dataset = data.load(name, folder)
    if len(dataset.x_train) != 60_000:
        raise SystemExit(f"{dataset.source} is not all of {name}; the weights are left as they are")
    both = build_classifier()
    model = keras.Model(both.input, both.get_layer("logits").output)
    steps = EPOCHS * (len(dataset.x_train) // BATCH_SIZE)
    model.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(2e-3, steps), weight_decay=1e-2
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        batches(dataset.x_train, dataset.y_train, flip=name == "fashion_mnist"),
        epochs=EPOCHS,
        verbose=2,
    )
    test_images = dataset.x_test.astype(np.float32) / 127.5 - 1
    _, accuracy = model.evaluate(test_images, dataset.y_test, verbose=0)
    print(f"{name}: {accuracy:.2%} of {len(test_images)} test images")
    both.save_weights(WEIGHTS / f"{name}.weights.h5")


if __name__ == "__main__":
    flags = argparse.ArgumentParser()
    flags.add_argument("--data-dir", metavar="DIR", required=True)
    flags.add_argument("--only", choices=["mnist", "fashion_mnist"])
    arguments = flags.parse_args()
    for name in [arguments.only] if arguments.only else ["mnist", "fashion_mnist"]:
        train(name, arguments.data_dir)
