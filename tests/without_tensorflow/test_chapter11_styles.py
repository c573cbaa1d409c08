"""Chapter 11, design.py: styles of garments, and its settings."""

import numpy as np
import pytest
from conftest import error_of

from chapter11_applications import design, styles
from common import data


def garment(rows):
    """One image, 1×28×28×1, whose pixels from (4, 6) on are these."""
    image = np.zeros((1, 28, 28, 1), np.uint8)
    rows = np.array(rows, np.uint8)
    image[0, 4 : 4 + len(rows), 6 : 6 + rows.shape[1], 0] = rows
    return image


def test_properties_of_a_garment_are_those_of_its_pixels_alone():
    plain = np.full((20, 10), 100)
    striped = plain + 50 * (np.arange(20) % 2)[:, None]
    (found,) = styles.properties(garment(plain))
    np.testing.assert_allclose(found, [100, 0, 0, 0, 0])
    (found,) = styles.properties(garment(striped))
    np.testing.assert_allclose(found, [125, 25, 50, 0, 0])
    (found,) = styles.properties(garment(striped.T[:, :10]))
    np.testing.assert_allclose(found[2:4], [0, 50])
    above = np.concatenate([np.full((10, 8), 200), np.full((10, 8), 50)])
    (found,) = styles.properties(garment(above))
    np.testing.assert_allclose(found[[0, 4]], [125, 150])
    assert not np.any(styles.properties(np.zeros((1, 28, 28, 1), np.uint8)))  # nothing, not NaN


def test_k_means_finds_clusters_that_lie_apart():
    random = np.random.default_rng(0)
    wanted = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    points = np.concatenate([centre + random.normal(size=(50, 2)) for centre in wanted])
    found = styles.k_means(points, 4)
    for centre in wanted:
        assert np.min(np.linalg.norm(found - centre, axis=1)) < 0.5
    assert np.array_equal(found, styles.k_means(points, 4))


def test_k_means_bears_fewer_points_than_clusters():
    """Two points that differ, and three clusters."""
    found = styles.k_means(np.array([[0.0], [1.0], [1.0]]), 3)
    assert len(found) == 3 and set(found.ravel()) == {0, 1}


@pytest.fixture(scope="module")
def clothes():
    return data.load("fashion_sample")


def test_a_style_is_nothing_that_a_kind_has_by_itself(clothes):
    found = styles.find(clothes.x_train, clothes.y_train, 6)
    standard = found.standardize(clothes.x_train, clothes.y_train)
    for kind in range(10):
        own = standard[clothes.y_train == kind]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-3)
        np.testing.assert_allclose(own.std(axis=0), 1, atol=1e-3)
    labels = found.labels(clothes.x_train, clothes.y_train)
    shares = [np.bincount(labels[clothes.y_train == k], minlength=6) for k in range(10)]
    assert np.min(shares) >= 20  # of about 800: every kind has every style


def test_labels_are_those_of_the_nearest_centre(clothes):
    found = styles.find(clothes.x_train, clothes.y_train, 6)
    assert np.all(np.diff(found.centres[:, 0]) >= 0)  # from dark to light
    images, kinds = clothes.x_test[:50], clothes.y_test[:50]
    standard = found.standardize(images, kinds)
    expected = [np.argmin([np.linalg.norm(x - c) for c in found.centres]) for x in standard]
    assert found.labels(images, kinds).tolist() == expected


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--variant", "plain", "plain"], "--variant names one twice"),
        (["--dataset", "mnist"], "invalid choice"),
        (["--styles", "1"], "greater than or equal to 2"),
        (["--creativity", "-1"], "greater than or equal to 0"),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(flags, expected, capsys):
    assert expected in error_of(design.main, [*flags, "--dry-run"], capsys)
