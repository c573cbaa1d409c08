"""How programs find each other, and how batches are divided: `common/replicas.py`."""

import json

import pytest

from common import UserError
from common.replicas import Cluster, Replicas, find_cluster


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
