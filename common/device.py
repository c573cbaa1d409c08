"""The machine: GPU memory, precision, seeds, determinism."""

import keras
import tensorflow as tf


def setup(seed: int, precision: str = "float32") -> str:
    """Prepares TensorFlow and Keras for a run. Call it before the first tensor is made.

    Args:
        seed: seeds Python's, NumPy's and Keras' generators, hence the networks' initial weights.
            What is random during training is not drawn from these; see `model.ChapterModel`.
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
