"""A Keras model whose training loop stays on the device, and the noise of its training steps."""

import operator
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


class CompiledLoop(keras.Model):
    """Compiles many calls of `train_step` into one program.

    Networks as small as chapter 3's need less time for an iteration than Python and TensorFlow
    need to start one. With this, the data set's elements are blocks of k batches (see
    `stream.batches`), and one compiled program trains on all k before Python sees anything again.
    The arithmetic is that of k calls of `train_step`. Compile the model with
    `steps_per_execution=k`, so that Keras counts right, and `jit_compile=True` to let XLA compile
    the block: good for dense networks, but not for transposed convolutions on a CPU, which it
    makes many times slower. With `run_eagerly=True` the steps run one by one in Python, so that
    one can print, or stop in a debugger.

    What `train_step` draws at random must be a function of a seed and of the iteration (TensorFlow
    calls such operations stateless): then a run that is interrupted and resumed sees the same
    numbers as one that is not.
    """

    train_function: Callable | None
    METRICS: tuple[str, ...] = ()  # what `train_step` reports: keys of Keras' logs, columns of CSV

    def __init__(self):
        super().__init__()
        self.means = [keras.metrics.Mean(name) for name in self.METRICS]
        # As the networks are that a chapter's model is made of; Keras saves no model that is not.
        self.built = True

    @property
    def metrics(self):
        return self.means

    def report(self, **values):
        """What a `train_step` returns: the means of its METRICS since the epoch began."""
        for mean in self.means:
            mean.update_state(values.pop(mean.name))
        if values:
            raise ValueError(f"{', '.join(values)}: not in METRICS")
        return {metric.name: metric.result() for metric in self.metrics}

    def compile(self, *args, jit_compile: bool = False, **kwargs) -> None:
        # Keras turns jit_compile off where operations are to be deterministic, as not all of XLA's
        # are. Those of the chapters that ask for it are, so it is not Keras that is asked.
        super().compile(*args, jit_compile=False, **kwargs)
        self._jit_compile_loop = jit_compile

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is not None and not force:
            return
        if self.run_eagerly:
            self.train_function = self._train_eagerly
            return
        train_step = tf.autograph.experimental.do_not_convert(self.train_step)

        @tf.function(jit_compile=self._jit_compile_loop)
        def train_on_block(block):
            self._check_length(block)
            for i in tf.range(self.steps_per_execution):
                train_step(keras.tree.map_structure(operator.itemgetter(i), block))
            return self.get_metrics_result()

        self.train_function = lambda iterator: train_on_block(next(iterator))

    def _train_eagerly(self, iterator):
        block = next(iterator)
        self._check_length(block)
        for i in range(self.steps_per_execution):
            self.train_step(keras.tree.map_structure(operator.itemgetter(i), block))
        return self.get_metrics_result()

    def _check_length(self, block):
        length = keras.tree.flatten(block)[0].shape[0]
        if length != self.steps_per_execution:
            raise ValueError(
                f"compiled with steps_per_execution={self.steps_per_execution}, but given blocks "
                f"of {length} batches"
            )
