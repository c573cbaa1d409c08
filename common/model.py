"""What the chapters' Keras models have in common, and the noise of their training steps."""

from collections.abc import Callable

import keras
import tensorflow as tf


def normal_noise(shape, seed: int, iteration) -> tf.Tensor:
    """Standard normal noise of a training step, float32: a function of seed and iteration alone.

    So a run can be repeated and resumed. Iterations count from 0; -1 is noise that no training step
    sees.
    """
    return tf.random.stateless_normal(
        shape,
        seed=tf.stack([seed, tf.cast(iteration, tf.int32)]),
        alg="philox",  # by name: on a CPU, XLA's own choice takes several times as long
    )


class ChapterModel(keras.Model):
    """A model of built networks, whose `train_step` is a chapter's algorithm.

    What `train_step` draws at random must be a function of a seed and of the iteration (TensorFlow
    calls such operations stateless): then a run that is interrupted and resumed sees the same
    numbers as one that is not. Python would cost small networks more time than arithmetic does;
    `compile(steps_per_execution=k)` runs k steps as one program. With `run_eagerly=True` one can
    print in a step, or stop in a debugger.
    """

    train_step: Callable  # a batch to what `report` returns
    METRICS: tuple[str, ...] = ()  # what `train_step` reports: keys of Keras' logs, columns of CSV

    def __init__(self):
        super().__init__()
        self.means = [keras.metrics.Mean(name) for name in self.METRICS]
        # The networks in it are built; Keras saves no weights of a model that is not marked so.
        self.built = True

    @property
    def iterations(self) -> keras.Variable:
        """Training steps done so far; the checkpoint holds them."""
        raise NotImplementedError

    @property
    def metrics(self):  # without Keras' own "loss", which would be 0
        return self.means

    def report(self, **values):
        """What a `train_step` returns: the means of its METRICS since the epoch began."""
        for mean in self.means:
            mean.update_state(values.pop(mean.name))
        if values:
            raise ValueError(f"{', '.join(values)}: not in METRICS")
        return self.get_metrics_result()

    def compile(self, *args, jit_compile: bool = False, **kwargs) -> None:
        """As Keras', but for XLA, which it switches off where operations are deterministic.

        Not all of XLA's are. Those of the chapters that use XLA are, so each step is compiled here.

        Args:
            jit_compile: let XLA compile the step: faster for dense networks; on a CPU, transposed
                convolutions become many times slower.
        """
        super().compile(*args, jit_compile=False, **kwargs)
        if jit_compile and not self.run_eagerly:
            self.train_step = tf.function(self.train_step, jit_compile=True)
