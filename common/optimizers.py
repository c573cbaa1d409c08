"""The optimiser of the chapters' networks."""

import keras


def adam(learning_rate: float, beta_1: float, decay_updates: int | None = None):
    """Keras' Adam.

    Args:
        decay_updates: how many updates there will be, if the learning rate is to fall linearly to
            0 over them. A network that is updated twice in an iteration has two for each.
    """
    if decay_updates:
        learning_rate = keras.optimizers.schedules.PolynomialDecay(
            learning_rate, decay_updates, end_learning_rate=0.0
        )
    return keras.optimizers.Adam(learning_rate, beta_1)
