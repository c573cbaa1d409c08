"""Whether the attacks are as strong as they can be, or gradient masking lets a network look robust.

A network may hide its gradients instead of being robust: gradient masking (Athalye et al. 2018).
Then its images fall to attacks that take a single step, need no gradient, or were made for another
network, and not to PGD. So the accuracy under one attack is only an upper bound.
"""

import numpy as np

from chapter10_adversarial.evaluation import Attacks, is_right, predict
from chapter10_adversarial.training import cross_entropy

HALVINGS = 7


def smallest_epsilon(network, images, labels, largest: float, attack: Attacks) -> np.ndarray:
    """For each image an epsilon at which PGD fools the network, as small as bisection finds it.

    Args:
        largest: of those that are tried. The result is exact to largest / 2^HALVINGS, if PGD with a
            larger epsilon is never weaker.

    Returns:
        n, multiples of that; 0 where the network needs no attack to be wrong, infinity where
        nothing was enough.
    """

    def fooled(epsilons):
        return ~is_right(network, attack("pgd", network, images, labels, epsilons), labels)

    too_little = np.zeros(len(images))
    enough = np.where(fooled(np.full(len(images), float(largest))), largest, np.inf)
    for _ in range(HALVINGS):
        middle = (too_little + np.minimum(enough, largest)) / 2
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
    attack: Attacks,
    *,
    restarts: int,
    tries: int,
    queries: int,
) -> dict[str, float]:
    """Whether PGD is as strong as it can be, image by image: a search for gradient masking.

    Args:
        other: a network that attacks are transferred from.
        restarts: of PGD.
        tries: of the random search.
        queries: of the Square attack.

    Returns:
        `pgd`, `pgd_restarts`, `random_search`, `square`: accuracies under these. `fgsm_only`,
        `random_only`, `square_only`, `transfer_only`: the share of images that fall to this and not
        to PGD with restarts. `worst`: the share that is right as it is and withstands all of them.
    """
    made = {
        "as_it_is": images,
        "pgd": attack("pgd", network, images, labels, epsilon),
        "pgd_restarts": attack("pgd", network, images, labels, epsilon, restarts=restarts),
        "random_search": attack("random", network, images, labels, epsilon, tries=tries),
        "square": attack("square", network, images, labels, epsilon, queries=queries),
        "fgsm": attack("fgsm", network, images, labels, epsilon),
        "transfer": attack("pgd", other, images, labels, epsilon),
    }
    right = {name: is_right(network, adversarial, labels) for name, adversarial in made.items()}
    withstand_pgd = right["pgd_restarts"]
    only = {
        f"{name.split('_')[0]}_only": withstand_pgd & ~right[name]
        for name in ("fgsm", "random_search", "square", "transfer")
    }
    reported = {name: right[name] for name in ("pgd", "pgd_restarts", "random_search", "square")}
    reported |= only | {"worst": np.logical_and.reduce(list(right.values()))}
    return {name: float(np.mean(found)) for name, found in reported.items()}


def by_step_size(network, images, labels, epsilon, attack: Attacks, step_sizes) -> list[dict]:
    """What PGD achieves with other steps: for each size, loss (nats an image) and accuracy.

    Args:
        step_sizes: shares of epsilon.
    """
    rows = []
    for step_size in step_sizes:
        adversarial = attack("pgd", network, images, labels, epsilon, step_size=step_size)
        logits = predict(network, adversarial)
        rows.append(
            {
                "step_size": step_size,
                "loss": float(cross_entropy(labels, logits)),
                "accuracy": float(np.mean(logits.argmax(axis=1) == labels)),
            }
        )
    return rows
