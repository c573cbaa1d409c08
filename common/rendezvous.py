"""Where programs that train together wait for each other, before TensorFlow connects them.

TensorFlow waits for ever for a program that does not come, and lets nobody end the wait. So each
first reports to the chief, at the address that TensorFlow will use, and the chief gives the word
when all are there. Imports no TensorFlow.
"""

import json
import socket
import time
from collections.abc import Sequence

from common import UserError

READY = {"ready": True}
LONGEST = 10_000  # bytes of a message


def meet(addresses: Sequence[str], number: int, seconds: float) -> None:
    """Returns when all programs are there.

    Args:
        addresses: host:port of each.
        number: this program's, from 0; 0 is the chief.
        seconds: to wait at most.

    Raises:
        UserError: one does not come in time, two have one number, or the chief's address is taken.
    """
    end = time.monotonic() + seconds
    if number == 0:
        _wait_for_others(addresses, end, seconds)
    else:
        _report(addresses, number, end, seconds)


def _wait_for_others(addresses, end, seconds):
    port = int(addresses[0].rpartition(":")[2])
    try:
        server = socket.create_server(("", port), backlog=len(addresses))
    except OSError as error:
        raise UserError(
            f"{addresses[0]}, the first worker's address, cannot be taken: {error.strerror}; "
            "another program has it, or two workers have number 0"
        ) from error
    come: dict[int, socket.socket] = {}
    with server:
        while len(come) < len(addresses) - 1:
            server.settimeout(max(0.01, end - time.monotonic()))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = [a for n, a in enumerate(addresses) if n and n not in come]
                problem = f"{', '.join(missing)} did not start within {seconds:.0f} seconds"
                _tell(come.values(), {"error": problem})
                raise UserError(f"{problem}; of {len(addresses)} workers") from None
            said = _read(connection, 5)
            theirs = said.get("number")
            if theirs in come:
                problem = f"two workers have number {theirs}"
                _tell([connection, *come.values()], {"error": problem})
                raise UserError(problem)
            if isinstance(theirs, int) and 0 < theirs < len(addresses):
                come[theirs] = connection
    _tell(come.values(), READY)


def _report(addresses, number, end, seconds):
    host, _, port = addresses[0].rpartition(":")
    said = None
    while not said:
        left = end - time.monotonic()
        if left <= 0:
            raise UserError(f"worker 0, {addresses[0]}, did not start within {seconds:.0f} seconds")
        try:
            with socket.create_connection((host, int(port)), timeout=min(5, left)) as connection:
                connection.sendall(json.dumps({"number": number}).encode() + b"\n")
                said = _read(connection, left)
        except OSError:
            pass
        if not said:  # the chief does not listen yet, or it is a chief of before that still ends
            time.sleep(0.2)
    if said != READY:
        raise UserError(f"worker 0: {said.get('error', 'ended')}")


def _tell(connections, message):
    for connection in connections:
        try:
            with connection:
                connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # it has ended, which TensorFlow will notice


def _read(connection, seconds):
    """A message, a dict; an empty one, if what comes is none."""
    connection.settimeout(max(0.01, seconds))
    text = b""
    try:
        while not text.endswith(b"\n") and len(text) < LONGEST:
            more = connection.recv(LONGEST)
            if not more:
                break
            text += more
        message = json.loads(text)
    except (OSError, ValueError):
        return {}
    return message if isinstance(message, dict) else {}
