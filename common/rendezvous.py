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

PATIENCE = 5.0  # seconds for a message of a program that has connected
LONGEST = 2**16  # bytes of a message, which may name all programs


def meet(addresses: Sequence[str], number: int, seconds: float, devices: str = "") -> None:
    """Returns when all programs are there.

    The messages are not authenticated, and neither is what TensorFlow sends later: the network
    between the machines has to be one that can be trusted.

    Args:
        addresses: host:port of each.
        number: this program's, from 0; 0 is the chief.
        seconds: to wait at most.
        devices: what this program trains on; it must be the same for all.

    Raises:
        UserError: one does not come in time or has other devices, two have one number, or the
            chief's address is taken.
    """
    end = time.monotonic() + seconds
    if number == 0:
        _wait_for_others(addresses, end, seconds, devices)
    else:
        _report(addresses, number, end, seconds, devices)


def _wait_for_others(addresses, end, seconds, devices):
    port = int(addresses[0].rpartition(":")[2])
    try:
        server = socket.create_server(("", port), backlog=len(addresses))
    except OSError as error:
        raise UserError(
            f"{addresses[0]}, the first worker's address, cannot be taken: {error.strerror}; "
            "another program has it, or two workers have number 0"
        ) from error
    come: dict[int, socket.socket] = {}
    try:
        with server:
            while True:
                missing = [n for n in range(1, len(addresses)) if n not in come]
                if not missing and (gone := _gone(come)):
                    come.pop(gone).close()
                    continue
                if not missing:
                    break
                try:
                    if (left := end - time.monotonic()) <= 0:
                        raise TimeoutError
                    server.settimeout(left)
                    connection, _ = server.accept()
                except TimeoutError:
                    names = ", ".join(addresses[n] for n in missing)
                    raise UserError(
                        f"{len(missing)} of {len(addresses)} workers did not start within "
                        f"{seconds:.0f} seconds: {names}"
                    ) from None
                said = _read(connection, min(PATIENCE, end - time.monotonic()))
                theirs = said.get("number")
                if not isinstance(theirs, int) or not 0 < theirs < len(addresses):
                    connection.close()  # a stranger
                    continue
                if theirs in come and not _is_closed(come[theirs]):
                    _say(connection, {"error": f"two workers have number {theirs}"})
                    raise UserError(f"two workers have number {theirs}")
                come[theirs] = connection
                if said.get("devices") != devices:
                    raise UserError(
                        f"worker {theirs}, {addresses[theirs]}, has {said.get('devices')}, "
                        f"but worker 0 has {devices}"
                    )
        for connection in come.values():
            _say(connection, {"ready": True})
    except UserError as error:
        for connection in come.values():
            _say(connection, {"error": str(error)})
        raise
    finally:
        for connection in come.values():
            connection.close()


def _report(addresses, number, end, seconds, devices):
    host, _, port = addresses[0].rpartition(":")
    said: dict = {}
    while not said:
        left = end - time.monotonic()
        if left <= 0:
            raise UserError(f"worker 0, {addresses[0]}, did not start within {seconds:.0f} seconds")
        try:
            with socket.create_connection((host, int(port)), timeout=min(5, left)) as connection:
                _say(connection, {"number": number, "devices": devices})
                # The chief's time may have begun after this one's: it says when that is over.
                said = _read(connection, left + seconds)
        except OSError:
            pass
        if not said:  # the chief does not listen yet, or it is a chief of before that still ends
            time.sleep(0.2)
    if "error" in said:
        raise UserError(f"worker 0: {said['error']}")


def _gone(come):
    """The number of a program that has ended since it came, or None."""
    return next((number for number, each in come.items() if _is_closed(each)), None)


def _is_closed(connection):
    connection.setblocking(False)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(PATIENCE)


def _say(connection, message):
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        pass  # it has ended, which will be noticed


def _read(connection, seconds):
    """A message, a dict; an empty one, if what comes in that time is none."""
    end = time.monotonic() + seconds
    text = b""
    try:
        while not text.endswith(b"\n") and len(text) < LONGEST:
            connection.settimeout(max(0.01, end - time.monotonic()))
            more = connection.recv(LONGEST)
            if not more or time.monotonic() > end:
                return {}
            text += more
        message = json.loads(text)
    except (OSError, ValueError):
        return {}
    return message if isinstance(message, dict) else {}
