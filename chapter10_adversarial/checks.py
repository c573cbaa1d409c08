"""Whether the attacks are as strong as they can be, or gradient masking lets a network look robust.

A network may hide its gradients instead of being robust: gradient masking (Papernot et al. 2017).
Then its images fall to attacks that take a single step, need no gradient, or were made for another
network, and not to PGD (Athalye et al. 2018). So the accuracy under one attack is only an upper
bound.
"""

import numpy as np

from chapter10_adversarial.evaluation import Attacker, is_right, predict
from chapter10_adversarial.training import cross_entropy

HALVINGS = 7


def smallest_epsilon(network, images, labels, largest: float, attack: Attacker) -> np.ndarray:
    """For each image an epsilon at which PGD fools the network, as small as bisection finds it.

    Args:
        images, labels: n×28×28×1 in [0, 1], and n.
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
    attack: Attacker,
    *,
    steps: int,
    classes: int,
    tries: int,
    queries: int,
) -> dict[str, float]:
    """What other attacks than PGD leave, image by image: a search for gradient masking.

    The last of them, APGD-T, takes the longest, and is shown the images alone that withstand all
    others, as in AutoAttack (Croce & Hein 2020). That has APGD, APGD-T (100 steps, 9 classes) and
    Square (5,000 queries) too, and FAB besides. The network must have at least four classes.

    Args:
        other: a network that attacks are transferred from.
        images, labels: n×28×28×1 in [0, 1], and n.
        epsilon: how far a pixel may be changed.
        steps: of APGD, and of APGD-T towards each class.
        classes: that APGD-T aims at, for each image.
        tries: of the random search.
        queries: of the Square attack.

    Returns:
        `pgd`, `apgd`, `random_search`, `square`: accuracies under these. `fgsm_only`,
        `random_only`, `square_only`, `transfer_only`: the share of images that fall to this and not
        to APGD. `before_apgd_t`: the share that is right as it is and withstands all of them.
        `worst`: the share that withstands APGD-T too.
    """
    made = {
        "as_it_is": images,
        "pgd": attack("pgd", network, images, labels, epsilon),
        "apgd": attack("apgd", network, images, labels, epsilon, steps=steps),
        "random_search": attack("random", network, images, labels, epsilon, tries=tries),
        "square": attack("square", network, images, labels, epsilon, queries=queries),
        "fgsm": attack("fgsm", network, images, labels, epsilon),
        "transfer": attack("pgd", other, images, labels, epsilon),
    }
    right = {name: is_right(network, adversarial, labels) for name, adversarial in made.items()}
    reported = {name: right[name] for name in ("pgd", "apgd", "random_search", "square")}
    reported |= {
        "fgsm_only": right["apgd"] & ~right["fgsm"],
        "random_only": right["apgd"] & ~right["random_search"],
        "square_only": right["apgd"] & ~right["square"],
        "transfer_only": right["apgd"] & ~right["transfer"],
    }
    worst = np.logical_and.reduce(list(right.values()))
    reported["before_apgd_t"] = worst.copy()
    if worst.any():
        left = images[worst], labels[worst]
        adversarial = attack("apgd_t", network, *left, epsilon, steps=steps, classes=classes)
        worst[worst] = is_right(network, adversarial, left[1])
    reported["worst"] = worst
    return {name: float(np.mean(found)) for name, found in reported.items()}


def by_setting(network, images, labels, epsilon, attack: Attacker, name: str, values) -> list[dict]:
    """What PGD achieves with other steps: for each value, loss (nats an image) and accuracy.

    Args:
        name: "step_size", a share of epsilon; or "steps", of 2.5 / steps times epsilon each.
        values: of it.
    """
    rows = []
    for value in values:
        settings = {name: value} | ({"step_size": None} if name == "steps" else {})
        adversarial = attack("pgd", network, images, labels, epsilon, **settings)
        logits = predict(network, adversarial)
        rows.append(
            {
                name: value,
                "loss": float(cross_entropy(labels, logits)),
                "accuracy": float(np.mean(logits.argmax(axis=1) == labels)),
            }
        )
    return rows
