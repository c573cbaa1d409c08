"""Mean and standard deviation over seeds."""

import numpy as np


def spread(values: list) -> dict[str, float] | None:
    """By name; the deviation of a single value is 0. None if a value is None."""
    if None in values:
        return None
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "deviation": float(deviation)}
