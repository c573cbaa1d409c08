"""How programs find each other, and how batches are divided: `common/replicas.py`."""

import json
import re
from pathlib import Path

import pytest

from chapter06_progan import train as chapter06
from common import UserError, flags
from common.replicas import Cluster, Replicas, find_cluster

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def environment(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_alone_is_no_cluster():
    assert find_cluster({}) is None
    assert find_cluster(environment({"worker": ["a:1"]})) is None
    assert find_cluster({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None


def test_workers_are_numbered_from_the_chief_on():
    assert find_cluster(environment({"worker": ["a:1", "b:1"]}, index=1)) == Cluster(
        1, 2, ("a:1", "b:1")
    )
    of_chief = {"chief": ["c:1"], "worker": ["a:1", "b:1"]}
    assert find_cluster(environment(of_chief, "chief")).is_chief
    assert find_cluster(environment(of_chief, index=1)) == Cluster(2, 3, ("c:1", "a:1", "b:1"))


def test_slurm_says_which_of_its_tasks_a_program_is():
    found = find_cluster({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"})
    assert (found.number, found.count, found.is_chief) == (3, 4, False)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG is not JSON"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG needs"),
        ({"TF_CONFIG": '{"cluster": {}}'}, "TF_CONFIG needs"),
        (environment({"worker": ["a", "b:1"]}), "'a' is not host:port"),
        (environment({"worker": ["a:70000", "b:1"]}), "'a:70000' is not host:port"),
        (environment({"worker": ["a:1", "a:1"]}), "names one address twice"),
        (environment({"worker": ["a:1", "b:1"]}, index=2), "none of the cluster's 2"),
        (environment({"worker": ["a:1", "b:1"]}, index="0"), "none of the cluster's 2"),
        (environment({"worker": ["a:1", "b:1"], "ps": ["c:1"]}, "ps"), "'ps' has no part"),
    ],
)
def test_a_wrong_tf_config_is_one_line(found, problem):
    with pytest.raises(UserError, match=problem):
        find_cluster(found)


@pytest.mark.parametrize(
    ("count", "multiple", "size", "nearest"), [(3, 1, 128, 129), (4, 1, 2, 4), (2, 4, 12, 8)]
)
def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_that_does(
    count, multiple, size, nearest
):
    replicas = Replicas(count, range(count))
    replicas.check({"--batch-size": nearest}, multiple)
    with pytest.raises(UserError, match=f"--batch-size {size} .* {nearest} can"):
        replicas.check({"--batch-size": size}, multiple)


def test_one_device_takes_any_batch():
    Replicas(1, range(1)).check({"--batch-size": 7}, 4)


def test_the_cluster_jobs_have_settings_that_several_devices_take():
    """What the files in deploy/ start, on two machines with four GPUs each."""
    job = (REPOSITORY / "deploy" / "tfjob.yaml").read_text(encoding="utf-8")
    script = (REPOSITORY / "deploy" / "slurm.sh").read_text(encoding="utf-8")
    _, example, *_ = script.replace("\\\n#", "").split("#     sbatch")  # the first
    for found in (re.findall(r"- (--\S+)", job), re.findall(r"--[\w-]+(?: [\w/]+)?", example)):
        words = [word for flag in found for word in flag.split()]
        options, typed = flags.parse("", chapter06.PRESETS, words)
        config = chapter06.PRESETS[options["preset"]].with_flags(typed)
        config.check_replicas(Replicas(8, range(8)))
        assert options["preset"] == "paper" and config.batch_size == 32
