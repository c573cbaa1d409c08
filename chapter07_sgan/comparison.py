"""The comparison of chapter 7: SGAN against a fully supervised classifier, the baseline.

The baseline is the discriminator's own network, trained on the labelled images alone (GANs in
Action, section 7.3.5).
"""

import keras
import numpy as np

from chapter07_sgan import figures, variants
from chapter07_sgan.figures import BASELINE
from chapter07_sgan.networks import CLASSES
from chapter07_sgan.split import Split
from common import data
from common.model import predict


def train_baseline(config, split: Split, batch_size: int) -> keras.Model:
    """Trains a new discriminator as a classifier and nothing else, on the labelled images.

    Args:
        config: the chapter's settings.
        split: its images without labels are not used.
        batch_size: images of one update.
    """
    print("training the baseline on the labelled images alone")
    # Initial weights are then the same whether or not the run was resumed.
    keras.utils.set_random_seed(config.seed)
    network = variants.choose_discriminator(config)
    augmentation = variants.choose_augmentation(config)
    supervised = keras.Sequential([augmentation, network] if augmentation else [network])
    supervised.compile(
        keras.optimizers.Adam(config.classifier_learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    supervised.fit(
        data.scale(split.labeled_images),
        split.labels,
        batch_size=batch_size,
        epochs=config.baseline_epochs,
        verbose=0,
    )
    return network


def classify(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """The classes, n, that a discriminator predicts for images, uint8, n×28×28×1."""
    logits = predict(network, data.scale(images), batch_size=500)
    return np.argmax(logits[:, :CLASSES], axis=1)  # without the logit of "fake"


def classifier_accuracies(
    network: keras.Model, split: Split, dataset: data.Dataset
) -> dict[str, float]:
    """The share of the labelled images, and of the test images, that a discriminator gets right."""
    return _shares_right(network, split, dataset, classify(network, dataset.x_test))


def _shares_right(network, split, dataset, predicted):
    labeled = classify(network, split.labeled_images) == split.labels
    test = predicted == dataset.y_test
    return {"labeled_accuracy": float(np.mean(labeled)), "test_accuracy": float(np.mean(test))}


def compare(
    run, title: str, networks: dict[str, keras.Model], split: Split, dataset: data.Dataset
) -> dict[str, float]:
    """Prints a table of both classifiers, and writes learning_curve.png and confusion.png.

    Args:
        run: the `runs.Run`, with its history.
        title: of the learning curve.
        networks: "SGAN" and BASELINE, discriminators: images to logits.
        dataset: in the figure, the classes of a data set of your own are numbers.

    Returns:
        What results.json says of them: accuracies, the baseline's with "baseline_" before them.
    """
    predictions = {name: classify(network, dataset.x_test) for name, network in networks.items()}
    rows = {
        name: _shares_right(network, split, dataset, predictions[name])
        for name, network in networks.items()
    }
    print(f"{'accuracy':<24}{'on labelled':>16}{'on test images':>16}")
    for name, row in rows.items():
        print(f"{name:<24}{row['labeled_accuracy']:>16.2%}{row['test_accuracy']:>16.2%}")

    curve = figures.learning_curve(run.history, rows[BASELINE]["test_accuracy"], title)
    run.write("learning_curve.png", curve)
    class_names = data.CLASS_NAMES.get(dataset.name, ())
    if len(class_names) != CLASSES:
        class_names = tuple(map(str, range(CLASSES)))
    run.write("confusion.png", figures.confusion(dataset.y_test, predictions, class_names))
    return rows["SGAN"] | {f"baseline_{name}": value for name, value in rows[BASELINE].items()}
