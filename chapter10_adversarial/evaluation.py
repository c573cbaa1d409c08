"""How classifiers withstand attacks, while they are trained and afterwards."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from chapter10_adversarial import attacks
from chapter10_adversarial.training import BOUNDS
from common import images as pictures
from common import model

BATCH_SIZE = 500
COMPARED = ("random", "fgsm", "pgd")
IN_HISTORY = 500  # at most so many images are attacked after each epoch


def predict(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits, n×10, of images, n×28×28×1 in [0, 1]."""
    return model.predict(network, images, BATCH_SIZE)


def is_right(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each image whether the network sees what it is: bool, n."""
    return predict(network, images).argmax(axis=1) == labels


def accuracy(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images that the network sees as what they are."""
    return float(np.mean(is_right(network, images, labels)))


class Attacker:
    """The attacks on images in [0, 1], at any epsilon, L∞, with the settings given here.

    Args:
        steps: of PGD, how many.
        step_size: of PGD, each, times epsilon.
        seed: of what is random in them.
    """

    def __init__(self, steps: int, step_size: float, seed: int):
        self.functions: dict[str, Callable] = {
            "random": attacks.random_perturbation,
            "fgsm": attacks.fgsm,
            "pgd": attacks.pgd,
            "apgd": attacks.apgd,
            "apgd_t": attacks.apgd_t,
            "square": attacks.square,
        }
        self.settings: dict[str, dict] = {
            "random": {"seed": (seed, 0)},
            "fgsm": {},
            "pgd": {"seed": (seed, 0), "steps": steps, "step_size": step_size},
            "apgd": {"seed": (seed, 0)},
            "apgd_t": {"seed": (seed, 0)},
            "square": {"seed": (seed, 0)},
        }

    def __call__(self, name, network, images, labels, epsilon, **settings) -> np.ndarray:
        """The images as an attack on this network changes them.

        Args:
            name: of a function of `attacks`; "random" for the random perturbation.
            images, labels: n×28×28×1 in [0, 1], and n.
            epsilon: one number, or n.
            settings: in place of the attack's usual ones.

        Returns:
            n×28×28×1 in [0, 1].
        """
        return self.functions[name](
            logits=network,
            images=images,
            labels=labels,
            epsilon=epsilon,
            bounds=BOUNDS,
            batch_size=BATCH_SIZE,
            **(self.settings[name] | settings),
        ).numpy()


class AttackEvaluator:
    """Attacks networks with test images, at one epsilon.

    Args:
        networks: by name: "undefended", "second", maybe "defended". All but the second are
            attacked; that one only sees what was made for another.
        attack: the attacks' settings.
        x_test, y_test: images, uint8, n×28×28×1, and labels, n.
        epsilon: how far a pixel, in [0, 1], may be changed.
        count: so many of the first images serve for what would take too long with all.
    """

    def __init__(
        self,
        networks: Mapping[str, keras.Model],
        attack: Attacker,
        x_test: np.ndarray,
        y_test: np.ndarray,
        epsilon: float,
        count: int,
    ):
        self.networks = networks
        self.attacked = [name for name in networks if name != "second"]
        self.attack = attack
        self.images = x_test.astype(np.float32) / 255
        self.labels = y_test
        self.epsilon = epsilon
        self.count = count
        # The first image of each class.
        self.shown = [np.flatnonzero(y_test == label)[0] for label in np.unique(y_test)]

    def adversarial(self, name: str, chosen) -> np.ndarray:
        """What PGD makes of the chosen images (indices or a slice) for a network, in [0, 1]."""
        images, labels = self.images[chosen], self.labels[chosen]
        return self.attack("pgd", self.networks[name], images, labels, self.epsilon)

    def sample_images(self) -> np.ndarray:
        """An image of each class; under it, what PGD makes of it for each attacked network."""
        rows = [self.images[self.shown]]
        rows += [self.adversarial(name, self.shown) for name in self.attacked]
        return pictures.grid(np.concatenate(rows) * 2 - 1, columns=len(self.shown))

    def evaluate(self) -> dict[str, float]:
        """Accuracy of the attacked networks on the first test images, as they are and under PGD."""
        first = slice(0, min(self.count, IN_HISTORY))
        images, labels = self.images[first], self.labels[first]
        accuracies = {}
        for name in self.attacked:
            network = self.networks[name]
            accuracies[f"{name}_accuracy"] = accuracy(network, images, labels)
            adversarial = self.adversarial(name, first)
            accuracies[f"{name}_pgd_accuracy"] = accuracy(network, adversarial, labels)
        return accuracies

    def plots(self) -> dict[str, dict[str, str]]:
        """The panels of history.png."""
        return {
            "loss": {f"{name}_loss": name for name in self.networks},
            "accuracy, first test images": {
                f"{name}_{kind}accuracy": f"{name}{text}"
                for name in self.attacked
                for kind, text in (("", ""), ("pgd_", ", under PGD"))
            },
        }


def compare(
    networks: Mapping[str, keras.Model],
    attacked: Sequence[str],
    images: np.ndarray,
    labels: np.ndarray,
    epsilons: Sequence[float],
    attack: Attacker,
) -> list[dict]:
    """Accuracy by attack and epsilon: of the network that is attacked, and of the others.

    An image that a network gets wrong as it is counts as right where an attack corrects it, as in
    the papers' tables of PGD.

    Args:
        networks: by name.
        images, labels: n×28×28×1 in [0, 1], and n.
        attacked: the names of those that adversarial images are made for. All networks see them:
            what an image made for one does to another is called transfer.

    Returns:
        A dict for each number: made_for, attack, epsilon, seen_by, accuracy.
    """
    rows = []
    for made_for in attacked:
        for name in COMPARED:
            for epsilon in epsilons:
                adversarial = attack(name, networks[made_for], images, labels, epsilon)
                for seen_by, network in networks.items():
                    rows.append(
                        {
                            "made_for": made_for,
                            "attack": name,
                            "epsilon": epsilon,
                            "seen_by": seen_by,
                            "accuracy": accuracy(network, adversarial, labels),
                        }
                    )
    return rows
