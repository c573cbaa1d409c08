"""Points of the latent space: walks, and chapter 4's sums."""

import numpy as np
import pytest

from chapter04_dcgan.latent import around, class_mean
from common import UserError
from common.latent import slerp, walk


def test_slerp_keeps_to_the_sphere_at_even_angles():
    start, end = np.array([3.0, 0, 0]), np.array([0, 0, 3.0])
    points = slerp(start, end, 4)
    np.testing.assert_allclose(points[[0, -1]], [start, end], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 3)
    steps = np.arccos(np.sum(points[1:] * points[:-1], axis=1) / 9)
    np.testing.assert_allclose(steps, np.pi / 6)


def test_slerp_where_there_is_no_shortest_arc():
    point = np.array([1.0, 2.0])
    np.testing.assert_allclose(slerp(point, point, 3), [point] * 3)
    np.testing.assert_allclose(slerp(point, -point, 3), [point, 0 * point, -point])


def test_walk_returns_to_where_it_began():
    points = np.eye(3)
    latent = walk(points, 4)
    assert latent.shape == (12, 3)
    np.testing.assert_allclose(latent[::4], points, atol=1e-12)
    np.testing.assert_allclose(latent[-1], slerp(points[2], points[0], 5)[3])


def test_class_mean_is_of_the_wanted_class_alone():
    noise = np.array([[1.0, 0], [3.0, 2], [9.0, 9]])
    np.testing.assert_allclose(class_mean(noise, np.array([4, 4, 1]), 4, least=2), [2, 1])
    with pytest.raises(UserError, match=r"1: only 1 of 3 .* enough of 4$"):
        class_mean(noise, np.array([4, 4, 1]), 1, least=2)


def test_points_around_a_mean_lie_where_noise_lies():
    offsets = np.array([[0.0, 0.0], [1.0, -1.0]])
    middle = np.sqrt(2) * np.array([0.6, 0.8])
    np.testing.assert_allclose(around(np.array([3.0, 4.0]), offsets), middle + offsets)
