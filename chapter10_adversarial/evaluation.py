"""How classifiers stand up to attacks, and whether the attacks are as strong as they can be."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from chapter10_adversarial import attacks
from chapter10_adversarial.training import BOUNDS

BATCH_SIZE = 500


def predict(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits, n×10, of images, n×28×28×1 in [0, 1]."""
    return network.predict(images, batch_size=BATCH_SIZE, verbose=0)


def is_right(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each image whether the network sees what it is: bool, n."""
    return predict(network, images).argmax(axis=1) == labels


class Attacks:
    """The attacks that are compared, at any epsilon, L∞: noise, FGSM and PGD.

    Args:
        steps, step_size: of PGD.
        seed: of what is random in them.
    """

    NAMES = ("noise", "fgsm", "pgd")

    def __init__(self, steps: int, step_size: float, seed: int):
        self.settings = {
            "noise": {"seed": (seed, 0)},
            "fgsm": {},
            "pgd": {"seed": (seed, 0), "steps": steps, "step_size": step_size},
        }

    def __call__(self, name, network, images, labels, epsilon, **settings) -> np.ndarray:
        """The images as an attack on this network changes them.

        Args:
            settings: in place of the attack's usual ones.
        """
        attack = getattr(attacks, name)
        settings = self.settings[name] | settings
        common = {"logits": network, "images": images, "labels": labels, "epsilon": epsilon}
        return attack(**common, bounds=BOUNDS, batch_size=BATCH_SIZE, **settings).numpy()


def compare(
    networks: Mapping[str, keras.Model],
    attacked: Sequence[str],
    images: np.ndarray,
    labels: np.ndarray,
    epsilons: Sequence[float],
    make: Attacks,
) -> list[dict]:
    """Accuracy by attack and epsilon: of the network that is attacked, and of the others.

    Args:
        networks: by name.
        attacked: the names of those that adversarial images are made for. All networks see them:
            what an image made for one does to another is called transfer.

    Returns:
        A dict for each number: made_for, attack, epsilon, seen_by, accuracy.
    """
    rows = []
    for made_for in attacked:
        for attack in Attacks.NAMES:
            for epsilon in epsilons:
                changed = make(attack, networks[made_for], images, labels, epsilon)
                for seen_by, network in networks.items():
                    accuracy = float(np.mean(is_right(network, changed, labels)))
                    rows.append(
                        {
                            "made_for": made_for,
                            "attack": attack,
                            "epsilon": epsilon,
                            "seen_by": seen_by,
                            "accuracy": accuracy,
                        }
                    )
    return rows


def smallest_epsilon(network, images, labels, most, make: Attacks, halvings: int = 7) -> np.ndarray:
    """For each image the smallest epsilon with which PGD fools the network, found by halving.

    Args:
        most: the largest that is tried.
        halvings: the result is exact to most / 2^halvings.

    Returns:
        n; 0 where the network needs no attack to be wrong, infinity where `most` is too little.
    """

    def fooled(epsilons):
        return ~is_right(network, make("pgd", network, images, labels, epsilons), labels)

    too_little, enough = np.zeros(len(images)), np.full(len(images), float(most))
    withstood = ~fooled(enough)
    for _ in range(halvings):
        middle = (too_little + enough) / 2
        wrong = fooled(middle)
        enough = np.where(wrong, middle, enough)
        too_little = np.where(wrong, too_little, middle)
    enough[withstood] = np.inf
    enough[~is_right(network, images, labels)] = 0
    return enough


def check_gradients(
    network, images, labels, epsilon, make: Attacks, restarts: int, tries: int
) -> dict[str, float]:
    """Whether the network hides its gradients rather than that it withstands (Athalye et al. 2018).

    Then attacks with fewer steps, or with no gradient at all, fool it where PGD does not.

    Args:
        restarts: of PGD.
        tries: of the search among random noise.

    Returns:
        `pgd_restarts_accuracy` and `noise_search_accuracy`; `fgsm_only` and `noise_only`, the
        shares of images that these fool and PGD with restarts does not.
    """
    withstands = {
        "pgd_restarts_accuracy": make("pgd", network, images, labels, epsilon, restarts=restarts),
        "noise_search_accuracy": make("noise", network, images, labels, epsilon, tries=tries),
        "fgsm": make("fgsm", network, images, labels, epsilon),
    }
    withstands = {k: is_right(network, changed, labels) for k, changed in withstands.items()}
    left = withstands["pgd_restarts_accuracy"]
    return {
        "pgd_restarts_accuracy": float(np.mean(left)),
        "noise_search_accuracy": float(np.mean(withstands["noise_search_accuracy"])),
        "fgsm_only": float(np.mean(left & ~withstands["fgsm"])),
        "noise_only": float(np.mean(left & ~withstands["noise_search_accuracy"])),
    }


def by_step_size(network, images, labels, epsilon, make: Attacks, step_sizes) -> list[dict]:
    """What PGD achieves with other steps: for each size, loss (nats an image) and accuracy.

    Args:
        step_sizes: shares of epsilon.
    """
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rows = []
    for step_size in step_sizes:
        changed = make("pgd", network, images, labels, epsilon, step_size=step_size)
        logits = predict(network, changed)
        rows.append(
            {
                "step_size": step_size,
                "loss": float(cross_entropy(labels, logits)),
                "accuracy": float(np.mean(logits.argmax(axis=1) == labels)),
            }
        )
    return rows
