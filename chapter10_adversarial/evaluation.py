"""How classifiers stand up to attacks, and whether the attacks are as strong as they can be."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from chapter10_adversarial import attacks
from chapter10_adversarial.training import BOUNDS, cross_entropy

BATCH_SIZE = 500
COMPARED = ("noise", "fgsm", "pgd")
HALVINGS = 7


def predict(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits, n×10, of images, n×28×28×1 in [0, 1]."""
    return network.predict(images, batch_size=BATCH_SIZE, verbose=0)


def is_right(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each image whether the network sees what it is: bool, n."""
    return predict(network, images).argmax(axis=1) == labels


class Attacks:
    """The attacks on images in [0, 1], at any epsilon, L∞, with one's settings.

    Args:
        steps: of PGD, how many.
        step_size: of PGD, each, times epsilon.
        seed: of what is random in them.
    """

    def __init__(self, steps: int, step_size: float, seed: int):
        self.settings = {
            "noise": {"seed": (seed, 0)},
            "fgsm": {},
            "pgd": {"seed": (seed, 0), "steps": steps, "step_size": step_size},
            "square": {"seed": (seed, 0)},
        }

    def __call__(self, name, network, images, labels, epsilon, **settings) -> np.ndarray:
        """The images as an attack on this network changes them.

        Args:
            name: "noise", "fgsm", "pgd" or "square".
            images, labels: n×28×28×1 in [0, 1], and n.
            epsilon: one number, or n.
            settings: in place of the attack's usual ones.

        Returns:
            n×28×28×1 in [0, 1].
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
        for attack in COMPARED:
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


def smallest_epsilon(network, images, labels, most, make: Attacks) -> np.ndarray:
    """For each image an epsilon at which PGD fools the network, as small as halving finds it.

    Args:
        most: the largest that is tried. The result is exact to most / 2^HALVINGS, if PGD with a
            larger epsilon is never weaker.

    Returns:
        n, multiples of that; 0 where the network needs no attack to be wrong, infinity where
        nothing was enough.
    """

    def fooled(epsilons):
        return ~is_right(network, make("pgd", network, images, labels, epsilons), labels)

    too_little = np.zeros(len(images))
    enough = np.where(fooled(np.full(len(images), float(most))), most, np.inf)
    for _ in range(HALVINGS):
        middle = (too_little + np.minimum(enough, most)) / 2
        wrong = fooled(middle)
        enough = np.where(wrong, middle, enough)
        too_little = np.where(wrong, too_little, middle)
    enough[~is_right(network, images, labels)] = 0
    return enough


def check_strength(
    network,
    other,
    images,
    labels,
    epsilon,
    make: Attacks,
    *,
    restarts: int,
    tries: int,
    queries: int,
) -> dict[str, float]:
    """Whether PGD is as strong as it can be, image by image.

    A network may only hide its gradients (Athalye et al. 2018). Then it falls to attacks that take
    fewer steps, need no gradient, or were made for another network, and not to PGD.

    Args:
        other: a network that attacks are transferred from.
        restarts: of PGD.
        tries: of the search among random noise.
        queries: of the Square attack.

    Returns:
        `pgd`, `pgd_restarts`, `noise_search`, `square`: accuracies under these. `fgsm_only`,
        `noise_only`, `square_only`, `transfer_only`: the share of images that fall to this and not
        to PGD with restarts. `worst`: the share that is right as it is and withstands all of them.
    """
    made = {
        "as_it_is": images,
        "pgd": make("pgd", network, images, labels, epsilon),
        "pgd_restarts": make("pgd", network, images, labels, epsilon, restarts=restarts),
        "noise_search": make("noise", network, images, labels, epsilon, tries=tries),
        "square": make("square", network, images, labels, epsilon, queries=queries),
        "fgsm": make("fgsm", network, images, labels, epsilon),
        "transfer": make("pgd", other, images, labels, epsilon),
    }
    right = {name: is_right(network, changed, labels) for name, changed in made.items()}
    of = ("pgd", "pgd_restarts", "noise_search", "square")
    left = right["pgd_restarts"]
    only = {
        f"{name.split('_')[0]}_only": left & ~right[name]
        for name in ("fgsm", "noise_search", "square", "transfer")
    }
    worst = np.logical_and.reduce(list(right.values()))
    found = {name: right[name] for name in of} | only | {"worst": worst}
    return {name: float(np.mean(which)) for name, which in found.items()}


def by_step_size(network, images, labels, epsilon, make: Attacks, step_sizes) -> list[dict]:
    """What PGD achieves with other steps: for each size, loss (nats an image) and accuracy.

    Args:
        step_sizes: shares of epsilon.
    """
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
