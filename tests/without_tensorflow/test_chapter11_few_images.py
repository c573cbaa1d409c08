"""Chapter 11, augmentation.py: its settings, and the intervals of its table."""

import math

import numpy as np
import pytest
from conftest import error_of

from chapter11_applications import augmentation
from chapter11_applications.intervals import MOST, QUANTILES, mean_and_margin


@pytest.mark.parametrize("freedom", range(1, 30))
def test_quantiles_are_students(freedom):
    """Between -t and t lies 0.95 of the density, as an integral over θ, t = √freedom tan θ."""
    end = math.atan(QUANTILES[freedom - 1] / math.sqrt(freedom))
    angles = (np.arange(100_000) + 0.5) / 100_000 * end
    gammas = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    share = (
        2 * math.exp(gammas) / math.sqrt(math.pi) * np.mean(np.cos(angles) ** (freedom - 1)) * end
    )
    assert share == pytest.approx(0.95, abs=5e-5)  # three decimals


def test_interval_of_five_measurements():
    mean, margin = mean_and_margin([0.1, 0.2, 0.3, 0.4, 0.5])
    assert mean == pytest.approx(0.3)
    assert margin == pytest.approx(2.776 * math.sqrt(0.025) / math.sqrt(5))
    assert mean_and_margin([0.5, 0.5])[1] == 0


def test_as_many_seeds_as_there_are_quantiles():
    assert len(QUANTILES) == MOST - 1 == 29
    augmentation.PRESETS["quick"].replace(seeds=MOST)


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--generated", "32"], "leaves no real image of --batch-size 32"),
        (["--images", "10", "10"], "--images has a number twice"),
        (["--images", "0"], "--images"),
        (["--seeds", "1"], "greater than or equal to 2"),
        (["--seeds", "31"], "less than or equal to 30"),
        (["--size", "30", "--dataset", "."], "multiple of 4"),
        (["--size", "64"], "--size and --color have no part in --dataset mnist"),
        (["--color"], "--size and --color have no part in --dataset mnist"),
        (["--xla"], "XLA cannot compile rotations"),
        (["--preset", "smoke", "--data-dir", "."], "--dataset sample, which is bundled"),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(flags, expected, capsys):
    assert expected in error_of(augmentation.main, [*flags, "--dry-run"], capsys)
