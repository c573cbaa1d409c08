"""How TensorFlow and Keras are set up, whatever the user's keras.json and environment say."""

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf
from conftest import REPOSITORY

from common import UserError, cli, device, machine
from common.settings import GANSettings


def test_what_keras_json_may_say_has_no_part_in_a_run():
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(1e-3)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_max_epochs(1)
    keras.config.set_max_steps_per_epoch(1)
    device.setup(seed=0)
    assert keras.config.floatx() == "float32" and keras.config.epsilon() == 1e-7
    assert keras.config.image_data_format() == "channels_last"
    assert keras.config.max_epochs() is None and keras.config.max_steps_per_epoch() is None
    assert keras.layers.Dense(1).compute_dtype == "float32"


@pytest.mark.parametrize("content", ["[]", "[" * 200_000], ids=["a list", "deep"])
def test_a_broken_keras_json_is_one_line(tmp_path, content):
    (tmp_path / "keras.json").write_text(content)
    code = "from common import cli; cli.run(lambda: cli.setup(seed=0))"
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.environ['KERAS_HOME'] = {str(tmp_path)!r}; {code}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith(("error", "Traceback"))]
    assert done.returncode == 2 and len(lines) == 1
    assert f"Mend or delete {tmp_path / 'keras.json'}" in lines[0]


def test_the_users_style_of_plots_has_no_part_in_a_run(tmp_path):
    """Matplotlib would take it from the folder it is started in, or from the user's."""
    (tmp_path / "matplotlibrc").write_text("savefig.bbox: tight\ntext.usetex: True\n")
    code = f"import sys; sys.path.append({str(REPOSITORY)!r}); from common import machine; "
    # Any module stands for the one that imports TensorFlow, which takes long.
    code += "sys.modules['common.device'] = sys; "
    code += "machine.prepare(); import matplotlib; print(matplotlib.rcParams['text.usetex'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "nonsense"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n", done.stderr


def test_code_that_tensorflow_cannot_read_is_one_line(monkeypatch):
    monkeypatch.setattr(machine, "REPOSITORY", REPOSITORY / "k\udcb0\udca1")
    with pytest.raises(UserError, match="its path is not UTF-8"):
        cli.setup(seed=0)


@pytest.mark.parametrize("text, kept", [("5 calls triggered tf.function retracing.", 0), ("x", 1)])
def test_evaluation_of_several_sizes_is_no_reason_to_warn(text, kept):
    record = logging.LogRecord("tensorflow", logging.WARNING, "", 0, text, (), None)
    assert bool(logging.getLogger("tensorflow").filter(record)) == kept


def test_an_operation_without_a_deterministic_form_is_named_with_the_flag(capsys):
    """As TensorFlow tells it on a GPU."""

    def main():
        message = "A deterministic GPU implementation of CropAndResize is not currently available."
        raise tf.errors.UnimplementedError(None, None, f"Graph execution error:\n{message}\n [[x]]")

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "CropAndResize is not currently available. Programs that train" in error
    assert "--no-deterministic" in error
    assert error.count("\n") == 1


def test_more_devices_than_there_are_gpus_are_refused_and_one_is_no_strategy(monkeypatch):
    assert device.mirrored(1) is None
    monkeypatch.setattr(device, "count_gpus", lambda: 2)
    with pytest.raises(UserError, match="--devices 3: this machine has 2 GPUs"):
        device.mirrored(3)


def test_auto_takes_the_most_devices_that_can_divide_the_batch(monkeypatch):
    used = []
    run = SimpleNamespace(config=GANSettings(iterations=1, sample_interval=1, batch_size=100))
    run.use_devices = used.append
    monkeypatch.setattr(device, "count_gpus", lambda: 8)
    monkeypatch.setattr(device, "mirrored", lambda count: count)
    options = {"distribute": "auto", "devices": None}
    machine.use_devices(run, options)
    machine.use_devices(run, options | {"distribute": "mirrored"})
    machine.use_devices(run, options | {"devices": 3})
    machine.use_devices(run, options | {"distribute": "none"})
    assert used == [5, 8, 3, None]


def test_advice_where_bfloat16_is_slow(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    assert device.advice_on_bfloat16([], str(cpuinfo)) is None  # not Linux
    cpuinfo.write_text("flags : fpu avx2 avx512f")
    assert "--precision float32 is faster" in device.advice_on_bfloat16([], str(cpuinfo))
    cpuinfo.write_text("flags : fpu avx2 avx512f avx512_bf16")
    assert device.advice_on_bfloat16([], str(cpuinfo)) is None
    for capability, advice in (((7, 5), "mixed_float16"), ((8, 0), None), (None, None)):
        details = {"compute_capability": capability} if capability else {}
        monkeypatch.setattr(
            tf.config.experimental, "get_device_details", lambda gpu, found=details: found
        )
        said = device.advice_on_bfloat16(["GPU"], str(cpuinfo))
        assert advice in said if advice else said is None
