"""How well a score tells members from others. NumPy alone.

A score is to be higher for members, the images that a model was trained on, than for others. By
chance the AUC is ½, the accuracy ½, and the true positive rate equal to the false positive rate.
"""

import numpy as np

FALSE_POSITIVES = 0.01  # the rate that `measures` allows


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Area under the ROC curve: P(member's score > other image's); equal ones count a half."""
    ranked = np.sort(others)
    below, up_to = (np.searchsorted(ranked, members, side) for side in ("left", "right"))
    return float(np.mean(below + up_to) / (2 * len(others)))


def accuracy(members: np.ndarray, others: np.ndarray) -> float:
    """Of a threshold that is best for every second image, on the rest.

    On the images for which it was chosen, the best threshold would be better than chance, even if
    the scores were chance.

    Args:
        members, others: scores, of as many members as others, n each.
    """
    candidates = np.unique(np.concatenate([members[::2], others[::2]]))
    # A member is who has at least the threshold.
    rates = [np.mean(members[::2] >= t) + np.mean(others[::2] < t) for t in candidates]
    threshold = candidates[np.argmax(rates)]
    right = np.mean(members[1::2] >= threshold) + np.mean(others[1::2] < threshold)
    return float(right / 2)


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, false_positives: float = FALSE_POSITIVES
) -> float:
    """The share of members that is found where at most such a share of the others is accused.

    Carlini et al. 2022 ask for it: an attack that is sure of a few people does harm, even if on
    average it is little better than chance.
    """
    allowed = int(false_positives * len(others))
    threshold = np.sort(others)[::-1][allowed]  # so many others are above it, at most
    return float(np.mean(members > threshold))


def curve(members: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve: false and true positive rates, from (0, 0) to (1, 1), for each threshold."""
    thresholds = np.unique(np.concatenate([members, others]))[::-1]
    rates = [[np.mean(scores >= t) for t in thresholds] for scores in (others, members)]
    false, true = (np.concatenate([[0.0], r]) for r in rates)
    return false, true


def measures(members: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """All of these, by name."""
    return {
        "auc": auc(members, others),
        "accuracy": accuracy(members, others),
        "true_positive_rate": true_positive_rate(members, others),
    }
