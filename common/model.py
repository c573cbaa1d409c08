"""What the chapters' Keras models have in common, and the noise of their training steps."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from common import distribution


def normal_noise(shape, seed: int, iteration, axis: int = 0) -> tf.Tensor:
    """Standard normal noise of a training step, float32: a function of seed and iteration alone.

    So a run can be repeated and resumed. Iterations count from 0; -1 is noise that no training step
    sees.

    Args:
        axis: the axis of `shape` that counts the images of a batch. On several devices each has its
            part of the noise along it.
    """
    return distribution.draw(
        tf.random.stateless_normal,
        shape,
        axis=axis,
        seed=tf.stack([seed, tf.cast(iteration, tf.int32)]),
        alg="philox",  # by name: on a CPU, XLA's own choice takes several times as long
    )


def predict(network: keras.Model, inputs, batch_size: int = 200) -> np.ndarray:
    """As Keras' `predict`: a network's outputs in inference mode, NumPy's, a batch at a time.

    By one device alone: Keras would divide batches among those that train the network. And Keras
    makes a data set of each call's inputs, which takes longer than a small network.

    Args:
        network: with one output.
        inputs: an array of at least one, or a list of several, one for each of its inputs.
    """
    arrays = inputs if isinstance(inputs, list) else [inputs]
    forward = _compiled(network)
    outputs = []
    for start in range(0, len(arrays[0]), batch_size):
        batch = [tf.convert_to_tensor(array[start : start + batch_size]) for array in arrays]
        outputs.append(forward(batch if len(batch) > 1 else batch[0]).numpy())
    return np.concatenate(outputs)


@functools.lru_cache(maxsize=6)  # not more: it keeps the networks in memory
def _compiled(network):
    forward = functools.partial(network, training=False)
    return tf.function(forward, reduce_retracing=True, autograph=False)


class ChapterModel(keras.Model):
    """A model of built networks, whose `train_step` is a chapter's algorithm.

    What `train_step` draws at random must be a function of a seed and of the iteration (TensorFlow
    calls such operations stateless): then a run that is interrupted and resumed sees the same
    numbers as one that is not. Python would cost small networks more time than arithmetic does;
    `compile(steps_per_execution=k)` runs k steps as one program. With `run_eagerly=True` one can
    print in a step, or stop in a debugger.
    """

    train_step: Callable  # a batch to what `report` returns
    train_function: Callable | None  # Keras': many steps
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
        """As Keras', except for XLA.

        Keras does not use XLA where TensorFlow's operations are to be deterministic, as not all of
        XLA's are. Those of the chapters that use XLA are, so each step is compiled here.

        Args:
            jit_compile: let XLA compile the step: faster for dense networks; on a CPU, transposed
                convolutions become many times slower.
        """
        # Keras would wrap the optimiser for float16, whose losses `distribution.minimize` scales.
        super().compile(*args, jit_compile=False, auto_scale_loss=False, **kwargs)
        # XLA compiles what one device computes; a step on several has all-reduces in between.
        self.compiled_by_xla = jit_compile and not self.run_eagerly and self.replicas == 1
        self.compile_step()

    def compile_step(self) -> None:
        """Lets XLA compile `train_step`, if it is to; again, where the step has changed since."""
        self.__dict__.pop("train_step", None)  # what an earlier `compile` has put before it
        if self.compiled_by_xla:
            step = type(self).train_step.__get__(self)
            self.train_step = tf.function(step, jit_compile=True)

    @property
    def replicas(self) -> int:
        """The devices that train the model."""
        return self.distribute_strategy.num_replicas_in_sync

    def fit(self, x, **settings):
        """As Keras'.

        Args:
            x: batches, see `stream.batches`; for several replicas, those of this machine's one
                after the other.
        """
        if self.replicas > 1:
            # Else the replicas would ask each other before each batch whether there is one.
            x = x.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
            x = self.distribute_strategy.distribute_datasets_from_function(lambda _, x=x: x)
        return super().fit(x, **settings)

    def make_train_function(self, force: bool = False):
        """As Keras', whose loop over `steps_per_execution` takes no batches of several replicas."""
        if self.replicas == 1 or self.run_eagerly:
            return super().make_train_function(force)
        if self.train_function is not None and not force:
            return self.train_function
        strategy = self.distribute_strategy

        @tf.function
        def train_function(iterator):
            logs = {metric.name: tf.zeros(()) for metric in self.metrics}
            for _ in tf.range(self.steps_per_execution):
                results = strategy.run(self.train_step, args=(next(iterator),))
                # One replica's; Keras asks the metrics for the means of all when an epoch ends.
                logs = {k: strategy.experimental_local_results(results[k])[0] for k in logs}
            return logs

        self.train_function = train_function
        return train_function

    def _maybe_symbolic_build(self, *args, **kwargs):
        """Keras' own builds a model from a batch, which it cannot take from several machines.

        The networks are built.
        """
