"""Membership inference: which images was a model trained on?

Two attacks. One has the networks: a GAN's discriminator (LOGAN, Hayes et al. 2019) or the whole VAE
(after Hilprecht et al. 2019). The other has nothing but generated images, and takes for members
what one of them is near to (GAN-Leaks, Chen et al. 2020, full black-box).
"""

import json
from typing import NamedTuple

import numpy as np

from chapter12_looking_ahead import roc
from common import data, metrics

NEAREST = "nearest generated image"  # the second attack's name
SHOWN = 10  # columns of the picture


class Candidates(NamedTuple):
    """Images, uint8, n×28×28×1.

    `members` are among `training`. `others` are test images, as many. `control` are as many
    training images of the data set that the model has not seen, or None if it has seen all: an
    attack that tells these from `others` does not see members, but how training and test images
    differ.
    """

    training: np.ndarray  # its first images are the members
    members: np.ndarray
    others: np.ndarray
    control: np.ndarray | None


def choose(dataset, count: int, attacked: int, seed: int) -> Candidates:
    """Images to train on, and images to attack, drawn at random by the seed.

    Args:
        dataset: a `data.Dataset`.
        count: images to train on.
        attacked: members, or `count` if that is less.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(dataset.x_train))
    attacked = min(attacked, count)
    others = random.permutation(len(dataset.x_test))[:attacked]
    unseen = order[count : count + attacked]
    return Candidates(
        training=dataset.x_train[order[:count]],
        members=dataset.x_train[order[:attacked]],
        others=dataset.x_test[others],
        control=dataset.x_train[unseen] if len(unseen) == attacked else None,
    )


def attack(score, candidates: Candidates) -> dict[str, np.ndarray]:
    """A score of the members, of the others, and of the control, if there is one.

    Args:
        score: a function of images, n×28×28×1 in [-1, 1], to n numbers, higher for members.
    """
    kinds = {"members": candidates.members, "others": candidates.others}
    if candidates.control is not None:
        kinds["control"] = candidates.control
    return {kind: score(data.scale(images)) for kind, images in kinds.items()}


def measure(scores: dict[str, np.ndarray]) -> dict[str, float]:
    """What `roc.measures` says of an attack's scores; and the AUC of the control."""
    measured = roc.measures(scores["members"], scores["others"])
    if "control" in scores:
        measured["control_auc"] = roc.auc(scores["control"], scores["others"])
    return measured


def attack_all(run, model, candidates: Candidates, generated: np.ndarray) -> dict[str, dict]:
    """Both attacks on a trained model; writes roc.json, the curves.

    Args:
        model: see targets.py.
        generated: its images, n×28×28×1 in [-1, 1].

    Returns:
        The measures of each attack, by its name.
    """

    def nearness(images):
        """Minus the distance to the nearest generated image, n."""
        return -metrics.nearest(images, generated)[1]

    found = {
        model.SCORE: attack(model.membership_scores, candidates),
        NEAREST: attack(nearness, candidates),
    }
    curves = {
        name: [rates.tolist() for rates in roc.curve(scores["members"], scores["others"])]
        for name, scores in found.items()
    }
    run.write("roc.json", json.dumps(curves).encode())
    return {name: measure(scores) for name, scores in found.items()}


def draw_nearest(candidates: Candidates, generated: np.ndarray) -> bytes:
    """Members, under each its nearest generated image, and its nearest other training image; PNG.

    The upper half has the first members, the lower half those that generated images come nearest
    to.
    """
    from common import images

    training = data.scale(candidates.training)
    members = training[: len(candidates.members)]
    nearest, distances = metrics.nearest(members, generated)
    rows = []
    for half in (np.arange(SHOWN), np.argsort(distances, kind="stable")[:SHOWN]):
        others = np.stack([nearest_other(index, training) for index in half])
        rows += [members[half], generated[nearest[half]], others]
    return images.png(images.grid(np.concatenate(rows), columns=SHOWN))


def nearest_other(index: int, training: np.ndarray) -> np.ndarray:
    """The image nearest to one of n images, height×width×channels, but for that one itself."""
    distances = np.sum(np.square(training - training[index]), axis=(1, 2, 3))
    distances[index] = np.inf
    return training[np.argmin(distances)]
