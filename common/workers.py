"""Programs on several machines that train together, by TensorFlow's MultiWorkerMirroredStrategy.

The chief, number 0, alone looks at the run's folder and writes into it; what the others need of it,
as the settings and the checkpoint of a resumed run, it tells them. Before training they compare
what they were told.
"""

import contextlib
import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from common import UserError
from common.rendezvous import meet
from common.replicas import Cluster

PIECE = 2**22  # bytes of a message that are sent at once, each as an int32
PORTS = 16  # of a Slurm job on one machine
# The exit code of a worker that has lost another: 128 + 10, that of a program ended by SIGUSR1,
# after which Kubeflow's operator starts it again. A user's mistake is 2.
LOST = 138


class WorkerLost(UserError):
    """Another worker has ended."""

    code = LOST


class Workers:
    """The connection to the others.

    Args:
        cluster: of which this program is one.
        wait: seconds to wait for all of them to start.
    """

    def __init__(self, cluster: Cluster, wait: float):
        self.cluster = cluster
        self.advice: Callable[[], str] = lambda: "nothing was done yet. Start all workers again"
        self.addresses = cluster.addresses or _addresses_of_slurm()
        task = {"type": "worker", "index": cluster.number}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": self.addresses}, "task": task})
        gpus = len(tf.config.list_physical_devices("GPU"))
        same = f"{gpus} GPUs and the workers {', '.join(self.addresses)}"
        meet(self.addresses, cluster.number, wait, same)
        try:
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except tf.errors.OpError as error:
            raise WorkerLost(f"the workers lost each other when they began: {error}") from error

    def all_gather(self, content: bytes) -> list[bytes]:
        """What each worker gives, in the order of their numbers, at each of them."""
        lengths = self._gather(np.array([len(content)], np.int32), 1)
        longest = max(int(length[0]) for length in lengths)
        padded = np.zeros(longest + 1, np.uint8)
        padded[: len(content)] = np.frombuffer(content, np.uint8)
        parts = self._gather(padded.astype(np.int32), longest + 1)
        return [
            part[: int(length[0])].astype(np.uint8).tobytes()
            for part, length in zip(parts, lengths, strict=True)
        ]

    def broadcast(self, content: bytes | None) -> bytes:
        """What the chief says, at each worker; the others give None."""
        said = np.frombuffer(content or b"", np.uint8)
        length = int(self._sum(np.array([len(said)], np.int64))[0])
        told = []
        for start in range(0, length, PIECE):
            piece = np.zeros(min(PIECE, length - start), np.int32)
            if content is not None:
                piece[:] = said[start : start + PIECE]
            told.append(self._sum(piece).astype(np.uint8).tobytes())
        return b"".join(told)

    def compare(self, facts: dict[str, Any]) -> None:
        """Raises a UserError if this worker's facts are not the chief's, or another one's are not.

        Args:
            facts: by what they are called, as "data".
        """
        found = [json.loads(said) for said in self.all_gather(json.dumps(facts).encode())]
        for number, theirs in enumerate(found):
            for name, value in theirs.items():
                if value != found[0].get(name):
                    raise UserError(
                        f"worker {number}, {self.addresses[number]}, has {name} {value}, but "
                        f"worker 0 has {found[0].get(name)}; for runs of their own give "
                        "--distribute none"
                    )

    def _gather(self, array: np.ndarray, length: int) -> list[np.ndarray]:
        def gather(values):
            return tf.distribute.get_replica_context().all_gather(values[None], axis=0)

        rows = self._run(gather, array)
        local = len(rows) // len(self.addresses)
        return list(rows[::local].reshape(-1, length))

    def _sum(self, array: np.ndarray) -> np.ndarray:
        """The sum over the workers; each has the same number of replicas."""

        def add(values):
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

        local = self.strategy.num_replicas_in_sync // len(self.addresses)
        return self._run(add, array) // local

    def _run(self, function, array: np.ndarray) -> np.ndarray:
        """What a function of the replicas gives, of this worker's value: the same for each."""

        @tf.function(autograph=False)
        def run(values):
            # `identity` puts the value on the replica's device.
            return self.strategy.run(lambda x: function(tf.identity(x)), args=(values,))

        return self.strategy.experimental_local_results(run(tf.constant(array)))[0].numpy()

    @contextlib.contextmanager
    def dying(self) -> Iterator[None]:
        """Within it, what TensorFlow says when a worker is gone becomes a WorkerLost."""
        try:
            yield
        except (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.CancelledError,
            tf.errors.DeadlineExceededError,
            tf.errors.InternalError,
        ) as error:
            gone = [n for n, address in enumerate(self.addresses) if not _listens(address)]
            if not gone and not re.search(r"aborted|unhealthy|[Cc]onnection|closed", str(error)):
                raise
            named = {int(n) for n in re.findall(r"/task:(\d+)", str(error))}
            lost = [n for n in gone or sorted(named) if n != self.cluster.number]
            who = " and ".join(f"worker {n}, {self.addresses[n]}," for n in lost) or "a worker"
            raise WorkerLost(f"{who} has ended or is not to be reached; {self.advice()}") from error


def leave(code: int) -> None:
    """Ends the program, whatever TensorFlow's threads are waiting for.

    Before that, what was said to the others last has a second to go out.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # full, or closed
            stream.flush()
    time.sleep(1)
    os._exit(code)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def _addresses_of_slurm() -> tuple[str, ...]:
    """host:port of each task of the job step, in the order of their numbers.

    TensorFlow's own resolver sorts the hosts by their names, n10 before n9, and Slurm does not, as
    long as it distributes tasks in blocks, as it does if nothing else is asked for. Jobs whose
    numbers follow each other have ports of their own, so that they can share a machine.

    Raises:
        UserError: a host has more tasks than a job has ports.
    """
    from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as slurm

    hosts = slurm.expand_hostlist(os.environ["SLURM_STEP_NODELIST"])
    tasks = slurm.expand_tasks_per_node(os.environ["SLURM_STEP_TASKS_PER_NODE"])
    if max(tasks) > PORTS:
        raise UserError(f"Slurm: {max(tasks)} tasks on one machine; at most {PORTS}")
    # Below 32,768, where the ports begin that Linux gives to whoever asks for any.
    first = 20_000 + PORTS * (int(os.environ.get("SLURM_JOB_ID", "0")) % 750)
    return tuple(
        f"{host}:{first + number}"
        for host, count in zip(hosts, tasks, strict=True)
        for number in range(count)
    )
