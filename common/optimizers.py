"""The optimiser of the chapters' networks, and learning rates that fall."""

import keras


def adam(
    learning_rate: float, beta_1: float, updates: int, decay: bool = True, **settings
) -> keras.optimizers.Optimizer:
    """Keras' Adam, whose learning rate may fall linearly to 0.

    Args:
        updates: how many there will be. A network that is updated twice in an iteration has two
            for each.
        decay: whether the learning rate falls over these.
        settings: others of `keras.optimizers.Adam`.
    """
    rate = decaying(learning_rate, updates) if decay else learning_rate
    return keras.optimizers.Adam(rate, beta_1, **settings)


def decaying(learning_rate: float, updates: int):
    """A learning rate that falls linearly to 0 over so many updates."""
    return keras.optimizers.schedules.PolynomialDecay(learning_rate, updates, end_learning_rate=0.0)
