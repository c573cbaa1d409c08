"""Several programs that train together on loopback, as on several machines: `common/workers.py`."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import REPOSITORY, assert_same_run, free_ports

TRAIN = [sys.executable, str(REPOSITORY / "chapter03_gan" / "train.py"), "--preset", "smoke"]
ALONE = {
    name: value for name, value in os.environ.items() if name != "TF_CONFIG" and "SLURM" not in name
} | {"CUDA_VISIBLE_DEVICES": ""}
PATIENCE = 240  # seconds; on a busy machine a start takes long


def of_tf_config(index, addresses):
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    return {"TF_CONFIG": json.dumps(task)}


def of_slurm(index, addresses):
    """As `srun` sets them for two tasks on one machine; the number of the job sets the ports."""
    return {
        "SLURM_JOB_ID": addresses[0].partition(":")[2],
        "SLURM_PROCID": str(index),
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": "2",
    }


def losses(folder):
    """Of the first interval: later, the two part by rounding."""
    with open(folder / "history.csv", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    return [float(row[name]) for name in ("d_loss", "g_loss")]


class Together:
    """Workers of one cluster, each with flags of its own."""

    def __init__(self, folder, *flags, scheduler=of_tf_config):
        addresses = [f"localhost:{port}" for port in free_ports(2)]
        self.programs = []
        for index, own in enumerate(flags):
            self.programs.append(
                subprocess.Popen(
                    [*TRAIN, *own],
                    env=ALONE | scheduler(index, addresses),
                    cwd=folder,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )

    def ends(self):
        """The exit code and the last line that each has written as an error."""
        ends = []
        for program in self.programs:
            try:
                _, errors = program.communicate(timeout=PATIENCE)
            finally:
                program.kill()
            lines = [line for line in errors.splitlines() if line.startswith("error:")]
            ends.append((program.returncode, (lines or [errors[-500:]])[-1]))
        return ends


@pytest.mark.slow
def test_two_workers_train_as_two_devices_of_one_machine(tmp_path):
    """Slurm has started them. They divide the images alike."""
    workers = Together(tmp_path, *[["--output-dir", "workers"]] * 2, scheduler=of_slurm)
    assert [code for code, _ in workers.ends()] == [0, 0]
    devices = [*TRAIN, "--devices", "2", "--output-dir", "devices"]
    subprocess.run(devices, cwd=tmp_path, env=ALONE, check=True)
    found, wanted = (losses(tmp_path / name) for name in ("workers", "devices"))
    assert found == pytest.approx(wanted, rel=1e-3)


@pytest.mark.slow
def test_a_killed_worker_is_named_and_the_same_command_goes_on_to_the_same_bits(tmp_path):
    flags = ["--iterations", "200", "--resume", "auto", "--output-dir"]
    whole = Together(tmp_path, [*flags, "whole"], [*flags, "whole"])
    assert [code for code, _ in whole.ends()] == [0, 0]

    broken = Together(tmp_path, [*flags, "broken"], [*flags, "broken"])
    checkpoint = tmp_path / "broken" / "checkpoint" / "latest.weights.h5"
    end = time.monotonic() + PATIENCE
    while not checkpoint.exists() and time.monotonic() < end:
        time.sleep(0.02)
    broken.programs[1].send_signal(signal.SIGKILL)
    (code, error), _ = broken.ends()
    assert code == 138  # which says that to begin again helps
    assert re.search(r"worker 1, localhost:\d+, has ended .* --resume auto", error)
    again = Together(tmp_path, [*flags, "broken"], [*flags, "broken"])
    assert [code for code, _ in again.ends()] == [0, 0]
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.slow
def test_workers_with_different_settings_are_told_apart(tmp_path):
    workers = Together(tmp_path, ["--seed", "1"], ["--seed", "2"])
    ends = workers.ends()
    assert [code for code, _ in ends] == [2, 2]
    assert any("worker 1, localhost:" in error and "'seed': '2'" in error for _, error in ends)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--distribute", "multi-worker"], "neither TF_CONFIG nor Slurm names several workers"),
        (["--devices", "0"], "--devices: 0 is not a number from 1"),
    ],
)
def test_flags_that_fit_no_machine_are_one_line(flags, words, tmp_path):
    done = subprocess.run([*TRAIN, *flags], env=ALONE, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert done.stderr.count("\n") == 1
