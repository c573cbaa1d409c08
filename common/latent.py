"""Walks in the latent space: functions of NumPy arrays."""

import numpy as np


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


def walk(points: np.ndarray, steps: int, straight: bool = False) -> np.ndarray:
    """From each of n latent points to the next, and from the last to the first: n·steps×d.

    Args:
        straight: by straight lines, not by `slerp`.
    """
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    ends = zip(points, np.roll(points, -1, axis=0), strict=True)
    if straight:
        return np.concatenate([(1 - t) * a + t * b for a, b in ends])
    # Each walk leaves out its last point, with which the next begins.
    return np.concatenate([slerp(a, b, steps + 1)[:-1] for a, b in ends])
