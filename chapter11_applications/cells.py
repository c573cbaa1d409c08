"""The cells of augmentation.py's table: one for each number of images and seed."""

import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from chapter11_applications import classes, networks
from chapter11_applications.few_images_gan import FewImagesGAN
from chapter11_applications.four_classifiers import WAYS, FourClassifiers
from chapter11_applications.transforms import Augmentation
from common import UserError, data, images, stream
from common.batch_norm import fuse, unfuse
from common.optimizers import adam


class Cell(NamedTuple):
    """One experiment."""

    images: int  # of each class
    seed: int  # of which images, of initial weights, and of all that is random in training

    @property
    def folder(self) -> str:
        """What it leaves lies there, in the run's folder."""
        return f"cells/images{self.images}-seed{self.seed}"


def cells_of(config) -> list[Cell]:
    """All cells of the settings of augmentation.py, in the order in which they are trained."""
    seeds = range(config.seed, config.seed + config.seeds)
    return [Cell(count, seed) for count in config.images for seed in seeds]


def finished(run, cell: Cell) -> dict | None:
    """What was measured in a cell, if that was done before."""
    if not os.path.exists(run.path / cell.folder / "result.json"):
        return None
    return run.read_json(f"{cell.folder}/result.json")


class Experiment:
    """What is trained in every cell: a GAN, and then four classifiers.

    The models are built and compiled once; each cell begins with new weights.

    Args:
        config: the settings.
        dataset: all images.
        names: of the classes.
        run: the `training.TrainingRun`.
    """

    def __init__(self, config, dataset: data.Dataset, names, run):
        self.config, self.dataset, self.run = config, dataset, run
        self.classes = len(names)
        with run.scope():
            self.seed = tf.Variable(0, trainable=False, dtype=tf.int32)
            augmentation = Augmentation(config.rotation, config.zoom, config.shift)
            built = self.build()
            generator, discriminator = built["generator"], built["discriminator"]
            self.gan = FewImagesGAN(generator, discriminator, augmentation, config.r1, self.seed)
            updates = config.gan_iterations
            rates = config.discriminator_learning_rate, config.generator_learning_rate
            d_optimizer, g_optimizer = (adam(rate, config.beta_1, updates) for rate in rates)
            self.gan.compile(d_optimizer, g_optimizer, steps_per_execution=divisor(updates))
            ways = {way: built[way] for way in WAYS}
            self.classifiers = FourClassifiers(
                ways, generator, augmentation, config.generated, self.seed
            )
            updates = config.classifier_updates
            optimizers = {way: adam(config.classifier_learning_rate, 0.9, updates) for way in WAYS}
            self.classifiers.compile(optimizers, steps_per_execution=divisor(updates))

    def build(self) -> dict[str, keras.Model]:
        """New networks by name; the four classifiers begin with the same weights."""
        shape = self.dataset.x_train.shape[1:]
        width = self.config.width
        generator = networks.build_generator(shape, self.classes, self.config.latent_dim, width)
        classifier = networks.build_classifier(shape, self.classes)
        copies = {way: keras.models.clone_model(classifier) for way in WAYS}
        for copy in copies.values():
            copy.set_weights(classifier.get_weights())
        return copies | {
            "generator": fuse(generator),
            "discriminator": networks.build_discriminator(shape, self.classes, width),
        }

    @property
    def networks(self) -> dict[str, keras.Model]:
        """The networks that are trained, by name."""
        own = {"generator": self.gan.generator, "discriminator": self.gan.discriminator}
        return own | self.classifiers.classifiers

    def begin(self, cell: Cell) -> None:
        """Gives all networks the initial weights of a cell, and makes the optimisers forget."""
        keras.utils.set_random_seed(cell.seed)
        self.seed.assign(cell.seed)
        with self.run.scope():
            new = self.build()
        for name, network in self.networks.items():
            network.set_weights(new[name].get_weights())
        optimizers = [self.gan.d_optimizer, self.gan.g_optimizer]
        optimizers += self.classifiers.optimizers.values()
        for optimizer in optimizers:
            # The count of updates, and Adam's averages; the learning rate follows from the count.
            for variable in optimizer.variables:
                variable.assign(ops.zeros_like(variable))

    def train(self, cell: Cell) -> dict:
        """Trains in one cell, writes what it leaves, and measures.

        Returns:
            The mean losses of the GAN, and of each way the test accuracy, sensitivity and
            specificity.
        """
        self.begin(cell)
        chosen = classes.draw(self.dataset.y_train, cell.images, cell.seed)
        few_images, labels = self.dataset.x_train[chosen], self.dataset.y_train[chosen]
        batches = self.batches(few_images, labels, cell.seed)
        losses = fit(
            self.gan,
            batches,
            self.config.gan_iterations,
            f"{cell.folder}, the GAN",
            "--generator-learning-rate or --discriminator-learning-rate",
        )
        fit(
            self.classifiers,
            batches,
            self.config.classifier_updates,
            f"{cell.folder}, a classifier",
            "--classifier-learning-rate",
        )
        self.run.write(f"{cell.folder}/samples.png", images.png(self.picture(few_images, labels)))
        self.save(cell)
        found = self.classifiers.measure(self.dataset.x_test, self.dataset.y_test)
        result = {"d_loss": losses["d_loss"], "g_loss": losses["g_loss"]} | found
        self.run.write_json(f"{cell.folder}/result.json", result)
        return result

    def batches(self, few_images, labels, seed):
        """Shuffled batches of the few images."""
        order = repeated(len(labels), self.config.batch_size)
        return stream.batches(
            few_images[order],
            self.config.batch_size,
            labels=labels[order],
            seed=seed,
            replicas=self.run.replicas,
        )

    def picture(self, few_images, labels) -> np.ndarray:
        """A row for each of up to ten classes: three of the few images, and five generated ones."""
        shown = min(self.classes, 10)
        noise = np.tile(self.gan.fixed_noise(5), (shown, 1))
        made = self.gan.generate(noise, np.repeat(np.arange(shown, dtype=np.int32), 5))
        rows = []
        for label, made_of_class in enumerate(np.split(made, shown)):
            few = few_images[labels == label]
            rows += [data.scale(few[np.arange(3) % len(few)]), made_of_class]
        zoom = max(1, 84 // made.shape[1])
        return images.grid(np.concatenate(rows), columns=8, zoom=zoom)

    def save(self, cell: Cell) -> None:
        """Writes the networks, but for the discriminator."""
        for name, network in self.networks.items():
            if name != "discriminator":
                self.run.save_models(**{f"{cell.folder}/{name}": unfuse(network)})


def repeated(count: int, least: int) -> np.ndarray:
    """Indices of so many images, at least so many: all of them equally often.

    Images are in the order of their classes. If only the first were repeated, to fill a batch, the
    first class would be more frequent than the last.
    """
    return np.tile(np.arange(count), -(-least // count))


def divisor(updates: int, most: int = 20) -> int:
    """Steps of one program: at most so many, and a divisor of the updates."""
    return max(n for n in range(1, most + 1) if updates % n == 0)


def fit(model, batches, updates: int, what: str, flags: str) -> dict[str, float]:
    """Trains for so many updates; gives the means of what is reported, over all of them.

    Args:
        what: is trained, and `flags`: set its learning rates, for the error's text.

    Raises:
        UserError: a loss is no number any more.
    """
    history = model.fit(batches, epochs=1, steps_per_epoch=updates, shuffle=False, verbose=0)
    means = {name: values[-1] for name, values in history.history.items()}
    if broken := [name for name, value in means.items() if not math.isfinite(value)]:
        raise UserError(
            f"{what} diverged: the loss {broken[0]} is not a number; try a smaller {flags}"
        )
    return means


def train_all(config, run, experiment: Experiment) -> Iterator[tuple[Cell, dict]]:
    """Each cell with what was measured; those that are finished are not trained again."""
    cells = cells_of(config)
    for number, cell in enumerate(cells, start=1):
        result = finished(run, cell)
        if result is None:
            result = experiment.train(cell)
        run.saved_iteration = number
        accuracies = ", ".join(f"{way} {result[way]['accuracy']:.1%}" for way in WAYS)
        print(
            f"{number}/{len(cells)}: {cell.images} images a class, seed {cell.seed}: {accuracies}"
        )
        yield cell, result
