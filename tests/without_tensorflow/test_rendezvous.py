"""Programs that wait for each other: `common/rendezvous.py`."""

import socket
import threading
import time

import pytest
from conftest import free_ports

from common import UserError
from common.rendezvous import meet


def free_addresses(count):
    return [f"localhost:{port}" for port in free_ports(count)]


def together(addresses, numbers, seconds=5.0, late=0.0):
    """What each program's `meet` ends with: None, or its error."""
    ends = [None] * len(numbers)

    def program(place, number):
        time.sleep(late * place)
        try:
            meet(addresses, number, seconds)
        except UserError as error:
            ends[place] = str(error)

    threads = [threading.Thread(target=program, args=pair) for pair in enumerate(numbers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def test_all_go_on_when_all_are_there_whoever_is_first():
    assert together(free_addresses(3), [2, 0, 1], late=0.2) == [None, None, None]


def test_who_does_not_come_is_named_to_all():
    addresses = free_addresses(3)
    chief, other = together(addresses, [0, 1], seconds=1.0)
    assert f"1 of 3 workers did not start within 1 seconds: {addresses[2]}" in chief
    assert addresses[2] in other


def test_strangers_who_come_again_and_say_nothing_do_not_make_the_chief_wait():
    addresses = free_addresses(2)
    host, _, port = addresses[0].partition(":")
    connections, over = [], threading.Event()

    def stranger():
        while not over.wait(0.2):
            try:
                connections.append(socket.create_connection((host, int(port)), timeout=0.2))
            except OSError:
                pass  # the chief does not listen, or not any more

    thread = threading.Thread(target=stranger)
    thread.start()
    (chief,) = together(addresses, [0], seconds=1.0)
    over.set()
    thread.join()
    assert "did not start within 1 seconds" in chief
    assert connections
    for connection in connections:
        connection.close()


def test_a_chief_that_does_not_come_is_named():
    addresses = free_addresses(2)
    assert together(addresses, [1], seconds=1.0) == [
        f"worker 0, {addresses[0]}, did not start within 1 seconds"
    ]


def test_two_with_one_number_are_told_so():
    ends = together(free_addresses(3), [0, 1, 1])
    assert ends[0] == "two workers have number 1"
    assert all("two workers have number 1" in end for end in ends)


def test_a_chief_whose_address_is_taken_is_told_so():
    with socket.create_server(("", 0)) as other:
        addresses = [f"localhost:{other.getsockname()[1]}", *free_addresses(1)]
        assert "two workers have number 0" in together(addresses, [0])[0]


@pytest.mark.parametrize("noise", [b"", b"GET / HTTP/1.0\n", b"[]\n", b'{"number": "x"}\n'])
def test_strangers_do_no_harm(noise):
    addresses = free_addresses(2)
    host, _, port = addresses[0].partition(":")

    def stranger():
        time.sleep(0.2)
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(noise)

    thread = threading.Thread(target=stranger)
    thread.start()
    assert together(addresses, [0, 1], late=0.3) == [None, None]
    thread.join()
