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
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from common import UserError
from common.rendezvous import meet
from common.replicas import Cluster


# The exit code of a program that another one has left: that of SIGUSR1, which Kubeflow's TFJob takes
# for an error that goes by when the program is begun again. A user's mistake is 2.
LEFT = 138


class LeftAlone(UserError):
    """Another worker has ended."""


class Workers:
    """The connection to the others.

    Args:
        cluster: of which this program is one.
        wait: seconds to wait for all of them to start.
    """

    def __init__(self, cluster: Cluster, wait: float):
        self.cluster = cluster
        if cluster.addresses is None:
            resolver: Any = tf.distribute.cluster_resolver.SlurmClusterResolver()
            self.addresses = tuple(resolver.cluster_spec().as_dict()["worker"])
        else:
            resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
            self.addresses = cluster.addresses
        meet(self.addresses, cluster.number, wait)
        try:
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        except tf.errors.OpError as error:
            own = self.addresses[cluster.number]
            raise UserError(
                f"{own}: worker {cluster.number} cannot take its address, as another program has "
                f"it, or cannot reach the others: {_first_line(error)}"
            ) from error

    def exchange(self, content: bytes) -> list[bytes]:
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

    def tell(self, content: bytes | None) -> bytes:
        """What the chief says, at each worker; the others give None."""
        length = len(content) if content is not None else 0
        length = int(self._sum(np.array([length], np.int64))[0])
        said = np.zeros(length + 1, np.int32)
        if content is not None:
            said[:length] = np.frombuffer(content, np.uint8)
        return self._sum(said)[:length].astype(np.uint8).tobytes()

    def compare(self, facts: dict[str, Any]) -> None:
        """Raises a UserError if this worker's facts are not the chief's, or another one's are not.

        Args:
            facts: by what they are called, as "data".
        """
        found = [json.loads(said) for said in self.exchange(json.dumps(facts).encode())]
        for number, theirs in enumerate(found):
            for name, value in theirs.items():
                if value != found[0][name]:
                    raise UserError(
                        f"worker {number}, {self.addresses[number]}, has {name} {value}, but "
                        f"worker 0 has {found[0][name]}"
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
        # `identity` puts the value on the replica's device.
        run = tf.function(
            lambda: self.strategy.run(lambda: function(tf.identity(array))), autograph=False
        )
        return self.strategy.experimental_local_results(run())[0].numpy()

    @contextlib.contextmanager
    def dying(self, advice: Callable[[], str]) -> Iterator[None]:
        """Within it, what TensorFlow says when a worker is gone becomes a LeftAlone of one line.

        Args:
            advice: gives how to go on.
        """
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
            raise LeftAlone(f"{who} has ended or is not to be reached; {advice()}") from error


def stop(error: UserError) -> None:
    """Ends the program with one line, whatever TensorFlow's threads are waiting for."""
    sys.stdout.flush()
    print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
    os._exit(LEFT if isinstance(error, LeftAlone) else 2)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
