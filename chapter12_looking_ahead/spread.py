"""Mean and standard deviation over seeds."""

import numpy as np


def spread(values: list) -> dict[str, float | None] | None:
    """By name; a single value has no deviation, None. None if a value is None."""
    if None in values:
        return None
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "deviation": deviation}
