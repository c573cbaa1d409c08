"""How sure a mean of few measurements is. NumPy alone."""

from collections.abc import Sequence

import numpy as np

# The 0.975 quantile of Student's t with 1, 2, … degrees of freedom.
QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045),
)
MOST = len(QUANTILES) + 1  # measurements


def mean_and_margin(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % confidence interval.

    Student's interval, for 2 to MOST measurements that are independent and nearly normal. (Of five
    measurements, a bootstrap would make too narrow intervals.) For the difference of two ways that
    were measured in pairs, give the differences: what a pair has in common drops out.

    What all measurements have in common, as the images they are tested on, does not vary among
    them, and the interval does not know how much it matters.
    """
    n = len(values)
    deviation = np.std(values, ddof=1)
    return float(np.mean(values)), float(QUANTILES[n - 2] * deviation / np.sqrt(n))
