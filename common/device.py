"""GPU memory, precision, seeds and determinism, by TensorFlow and Keras."""

import logging
import os

import keras
import tensorflow as tf

from common import UserError


def setup(seed: int, precision: str = "float32", deterministic: bool = True) -> str:
    """Prepares TensorFlow and Keras for a run. Call it before the first tensor is made.

    Args:
        seed: seeds Python's, NumPy's and Keras' generators, hence the networks' initial weights.
            What is random during training is not drawn from these; see `model.ChapterModel`.
        precision: Keras' dtype policy, "float32", "mixed_bfloat16" or "mixed_float16".
        deterministic: without it, operations may be faster on a GPU, and their bits may differ.

    The user's keras.json has no part in a run.

    On a GPU, memory is taken as it is needed rather than all at once. With `deterministic`,
    operations are so on every device: the same seed gives the same bits on the same machine, with
    the same number of cores.

    Returns:
        The device that TensorFlow will use, "CPU" or "GPU".
    """
    tf.get_logger().addFilter(_is_worth_reading)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if precision == "mixed_bfloat16" and (advice := advice_on_bfloat16(gpus)):
        print(advice)
    return "GPU" if gpus else "CPU"


def advice_on_bfloat16(gpus, cpuinfo: str = "/proc/cpuinfo") -> str | None:
    """What to give in place of bfloat16, if the devices are known to have no instructions for it.

    Args:
        gpus: TensorFlow's physical devices.
        cpuinfo: Linux's file on the CPU; where there is none, nothing is known.
    """
    for gpu in gpus:
        capability = tf.config.experimental.get_device_details(gpu).get("compute_capability")
        if capability and capability < (8, 0):
            return "this GPU has no bfloat16: give --precision mixed_float16"
    if gpus or not os.path.isfile(cpuinfo):
        return None
    with open(cpuinfo) as file:
        words = set(file.read().split())
    if words & {"avx512_bf16", "amx_bf16", "bf16"}:  # the last is ARM's
        return None
    return "this CPU has no instructions for bfloat16: --precision float32 is faster"


def count_gpus() -> int:
    """The GPUs of this machine that TensorFlow sees."""
    return len(tf.config.list_physical_devices("GPU"))


def mirrored(count: int) -> tf.distribute.Strategy | None:
    """TensorFlow's strategy for so many devices of this machine; None for fewer than two.

    Call it before the first tensor is made. Without a GPU, the CPU becomes so many devices, which
    share its cores.

    Raises:
        UserError: there are GPUs, but not so many.
    """
    if count < 2:
        return None
    gpus = count_gpus()
    if gpus:
        if count > gpus:
            raise UserError(f"--devices {count}: this machine has {gpus} GPUs")
        return tf.distribute.MirroredStrategy([f"GPU:{number}" for number in range(count)])
    logical = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(count)])


def _is_worth_reading(record: logging.LogRecord) -> bool:
    """False for TensorFlow's retracing warning: evaluation traces once for each size of batch."""
    return "triggered tf.function retracing" not in record.getMessage()
