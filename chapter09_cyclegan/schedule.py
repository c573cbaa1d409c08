"""Adam with the learning rate schedule of the CycleGAN paper."""

import keras
from keras import ops


class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A constant learning rate, and then a linear decay to 0 (Zhu et al. 2017, section 4).

    Keras' PolynomialDecay falls from the first update on.

    Args:
        constant_updates: updates with the constant rate.
        decay_updates: updates over which the rate falls.
    """

    def __init__(self, learning_rate: float, constant_updates: int, decay_updates: int):
        self.learning_rate = learning_rate
        self.constant_updates = constant_updates
        self.decay_updates = decay_updates

    def __call__(self, step):
        left = self.constant_updates + self.decay_updates - ops.cast(step, "float32")
        return self.learning_rate * ops.clip(left / self.decay_updates, 0.0, 1.0)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "constant_updates": self.constant_updates,
            "decay_updates": self.decay_updates,
        }


def decayed_adam(learning_rate: float, beta_1: float, updates: int, decay: float):
    """Keras' Adam, whose learning rate falls linearly to 0 in the last part of training.

    Args:
        updates: how many there will be.
        decay: the last share of them, in which the rate falls; 0 for a constant rate.
    """
    decay_updates = round(updates * decay)
    if not decay_updates:
        return keras.optimizers.Adam(learning_rate, beta_1)
    rate = LinearDecay(learning_rate, updates - decay_updates, decay_updates)
    return keras.optimizers.Adam(rate, beta_1)
