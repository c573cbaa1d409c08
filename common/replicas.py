"""Which programs and devices share a training. Imports no TensorFlow."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping

from common import UserError

WORKERS = ("chief", "worker")  # the tasks of TF_CONFIG that train, in the order of their numbers
ADDRESS = re.compile(r"[^\s:]+:[0-9]{1,5}")


@dataclasses.dataclass(frozen=True)
class Replicas:
    """The replicas of the networks that share each batch: how many there are, and whose."""

    count: int
    local: range  # the numbers of those in this program

    def check(self, batch_sizes: Mapping[str, int], multiple: int = 1) -> None:
        """Raises a UserError if a batch cannot be divided among them.

        Args:
            batch_sizes: by flag.
            multiple: of which each part must be.
        """
        step = self.count * multiple
        for flag, size in batch_sizes.items():
            if self.count == 1 or size % step == 0:
                continue
            below, above = size // step * step, -(-size // step) * step
            nearest = above if not below or above - size < size - below else below
            raise UserError(
                f"{flag} {size} cannot be divided among {self.count} devices"
                f"{f' in groups of {multiple}' if multiple > 1 else ''}; {nearest} can"
            )


ONE = Replicas(1, range(1))


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The programs, one a machine as a rule, that train together, and which of them this one is."""

    number: int
    count: int
    addresses: tuple[str, ...] | None  # host:port of each; None: Slurm knows

    @property
    def is_chief(self) -> bool:
        """Whether this program is the one that writes."""
        return self.number == 0


def find_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """What TF_CONFIG, or else Slurm, says of the programs that train together; None if alone.

    Raises:
        UserError: TF_CONFIG is not what TensorFlow takes.
    """
    if text := environment.get("TF_CONFIG"):
        return _of_tf_config(text)
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "1")  # within `srun`
    number = environment.get("SLURM_PROCID", "")
    if tasks.isdecimal() and int(tasks) > 1 and number.isdecimal():
        return Cluster(int(number), int(tasks), None)
    return None


def _of_tf_config(text: str) -> Cluster | None:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise UserError(f"TF_CONFIG is not JSON: {error}") from None
    try:
        cluster, task = config["cluster"], config["task"]
        lists = {kind: list(cluster.get(kind, ())) for kind in WORKERS}
        kind, index = task["type"], task["index"]
    except (TypeError, KeyError, AttributeError):
        raise UserError(
            'TF_CONFIG needs {"cluster": {"worker": ["host:port", …]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from None
    addresses = [*lists["chief"], *lists["worker"]]
    for address in addresses:
        if not (
            isinstance(address, str)
            and ADDRESS.fullmatch(address)
            and 0 < int(address.rpartition(":")[2]) < 2**16
        ):
            raise UserError(f"TF_CONFIG: {address!r} is not host:port")
    if len(set(addresses)) < len(addresses):
        raise UserError("TF_CONFIG names one address twice")
    if kind not in WORKERS:
        raise UserError(f"TF_CONFIG: a task of type {kind!r} has no part in this training")
    if not isinstance(index, int) or not 0 <= index < len(lists[kind]):
        raise UserError(
            f"TF_CONFIG: task {kind} {index!r} is none of the cluster's {len(lists[kind])}"
        )
    if len(addresses) < 2:
        return None
    number = index + (len(lists["chief"]) if kind == "worker" else 0)
    return Cluster(number, len(addresses), tuple(addresses))
