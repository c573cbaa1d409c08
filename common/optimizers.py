"""The optimiser of the chapters' networks."""

import keras


def adam(
    learning_rate: float, beta_1: float, updates: int, decay: bool = True
) -> keras.optimizers.Optimizer:
    """Keras' Adam, whose learning rate may fall linearly to 0.

    Args:
        updates: how many there will be. A network that is updated twice in an iteration has two
            for each.
        decay: whether the learning rate falls over these.
    """
    rate = learning_rate
    if decay:
        rate = keras.optimizers.schedules.PolynomialDecay(rate, updates, end_learning_rate=0.0)
    return keras.optimizers.Adam(rate, beta_1)
