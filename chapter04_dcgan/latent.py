"""The mathematics of walks and sums in the latent space: functions of NumPy arrays."""

import numpy as np

from common import UserError


def slerp(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Spherical interpolation from one latent point to another (White 2016).

    Nearly all of a normal distribution of 100 dimensions lies near a sphere of radius 10. The
    straight line between two of its points leads through the inside of the sphere, where hardly any
    noise of the training was; spherical interpolation keeps to the sphere.

    Args:
        start, end: points, d.
        steps: how many points to give, both ends included.

    Returns:
        steps×d. Where start and end have the same or opposite directions, so that no arc is the
        shortest, the straight line.
    """
    t = np.linspace(0, 1, steps)[:, None]
    cosine = np.dot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end))
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < 1e-6:
        return (1 - t) * start + t * end
    return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)


def walk(points: np.ndarray, steps: int) -> np.ndarray:
    """From each of n latent points to the next, and from the last to the first: n·steps×d."""
    ends = np.roll(points, -1, axis=0)
    # Each walk leaves out its last point, with which the next begins.
    return np.concatenate([slerp(a, b, steps + 1)[:-1] for a, b in zip(points, ends, strict=True)])


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
