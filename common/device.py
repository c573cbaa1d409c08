"""The machine: GPU memory, precision, seeds, determinism; and a training loop that stays on it."""

import operator

import keras
import tensorflow as tf


def setup(seed: int, precision: str = "float32") -> str:
    """Prepares TensorFlow and Keras for a run. Call it before the first tensor is made.

    Args:
        seed: seeds Python's, NumPy's and Keras' generators, hence the networks' initial weights.
            What is random during training is not drawn from these; see `CompiledLoop`.
        precision: Keras' dtype policy, "float32" or "mixed_bfloat16".

    On a GPU, memory is taken as it is needed rather than all at once. Operations are
    deterministic on every device: the same seed gives the same bits on the same machine, with
    the same number of cores.

    Returns:
        The device that TensorFlow will use, "CPU" or "GPU".
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return "GPU" if gpus else "CPU"


class CompiledLoop:
    """For `class GAN(CompiledLoop, keras.Model)`: compiles many calls of `train_step` into one.

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

    def compile(self, *, jit_compile: bool = False, **kwargs) -> None:
        # Keras turns jit_compile off where operations are to be deterministic, as not all of XLA's
        # are. Those of the chapters that ask for it are, so it is not Keras that is asked.
        super().compile(jit_compile=False, **kwargs)
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
