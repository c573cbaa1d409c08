"""Pairs of digits that are far apart and must agree: what a convolution cannot see.

A pair is an image of 16×48: a digit of half its size at the left end, and the same image of it once
more at the right end. There are 18 empty pixels between the two frames, so no unit of a network
whose units see less than 20 pixels sees both.
"""

import numpy as np

from common.images import enlarge

SHAPE = (16, 48, 1)
SIZE = 14  # of a digit, height and width
TOP, LEFT, RIGHT = 1, 1, 33  # where the two digits begin


def make_pairs(images: np.ndarray) -> np.ndarray:
    """Pairs, n×16×48×1, of images, n×28×28×1; both uint8. Each pixel is a mean of four."""
    n = len(images)
    halved = images.reshape(n, SIZE, 2, SIZE, 2, 1).mean(axis=(2, 4)).round().astype(np.uint8)
    pairs = np.zeros((n, *SHAPE), np.uint8)
    for left in (LEFT, RIGHT):
        pairs[:, TOP : TOP + SIZE, left : left + SIZE] = halved
    return pairs


def split(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The left and the right digits of pairs, n×28×28×1 each, enlarged for the classifier.

    Args:
        pairs: float, n×16×48×1.
    """
    parts = [pairs[:, TOP : TOP + SIZE, left : left + SIZE] for left in (LEFT, RIGHT)]
    return enlarge(parts[0]), enlarge(parts[1])


def agreement(left: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """How often the two digits of a pair are of one class, and how often by chance.

    Args:
        left, right: a classifier's probabilities of the left and the right digits, n×K each.

    Returns:
        match: the share of pairs whose digits are of one class; chance: what it would be if left
        and right were as they are, but drawn apart.
    """
    classes = [np.argmax(probabilities, axis=1) for probabilities in (left, right)]
    shares = [np.bincount(c, minlength=left.shape[1]) / len(c) for c in classes]
    return {
        "match": float(np.mean(classes[0] == classes[1])),
        "chance": float(np.dot(*shares)),
    }
