"""Exponential moving averages (EMA) of a network's weights."""


def update_averages(averages, weights, decay) -> None:
    """Moves each average towards its weight: average ← decay · average + (1 - decay) · weight.

    Args:
        averages, weights: variables, of the same shapes in the same order.
        decay: from 0 to 1.
    """
    for average, weight in zip(averages, weights, strict=True):
        average.assign(weight + decay * (average - weight))
