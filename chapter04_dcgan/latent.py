"""The mathematics of sums in the latent space: functions of NumPy arrays."""

import numpy as np

from common import UserError


def class_mean(noise: np.ndarray, classes: np.ndarray, wanted: int, least: int = 20) -> np.ndarray:
    """The mean of the latent points whose samples are of a class.

    Args:
        noise: the points, n×d.
        classes: of their samples, as the classifier sees them, n.
        wanted: the class.
        least: how many points of the class there must be, so that their mean says something.

    Returns:
        A point, d.

    Raises:
        UserError: the generator makes too few samples of that class.
    """
    points = noise[classes == wanted]
    if len(points) < least:
        enough = [label for label, count in enumerate(np.bincount(classes)) if count >= least]
        raise UserError(
            f"arithmetic with {wanted}: only {len(points)} of {len(noise)} samples are of that "
            f"class, and {least} are needed. --arithmetic takes other classes; there are enough of "
            f"{', '.join(map(str, enough)) or 'none: train longer'}"
        )
    return points.mean(axis=0)


def around(point: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Moves a point to the usual distance from the origin, √d, and then adds each offset.

    A mean of many latent points lies near the origin, where hardly any noise lies.

    Args:
        point: d.
        offsets: what to add to the moved point, n×d.

    Returns:
        n×d.
    """
    return point * np.sqrt(len(point)) / np.linalg.norm(point) + offsets
