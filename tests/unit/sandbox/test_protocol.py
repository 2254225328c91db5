"""Messages and descriptors between two ends of a connection."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hpclab.sandbox.protocol import HEAD, Connection, pair


class Greeting(msgspec.Struct):
    words: str
    data: bytes = b""


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    one, other = pair()
    with contextlib.closing(one), contextlib.closing(other):
        yield one, other


def test_a_message_comes_with_its_descriptors(ends: tuple[Connection, Connection]) -> None:
    reader, writer = os.pipe()
    ends[0].send(Greeting("first"), [writer])
    ends[0].send(Greeting("second"))
    os.close(writer)
    message, [given] = ends[1].receive(Greeting)
    assert message == Greeting("first") and not os.get_inheritable(given)
    os.write(given, b"through")
    assert os.read(reader, 99) == b"through"
    assert ends[1].receive(Greeting) == (Greeting("second"), [])
    for descriptor in (reader, given):
        os.close(descriptor)


def test_a_large_message_arrives_whole(ends: tuple[Connection, Connection]) -> None:
    large = Greeting("x", os.urandom(3 << 20))
    sender = threading.Thread(target=ends[0].send, args=(large,))
    sender.start()
    assert ends[1].receive(Greeting)[0] == large
    sender.join(timeout=60)


def test_too_large_a_message_ends_the_connection(ends: tuple[Connection, Connection]) -> None:
    ends[0].send(Greeting("x" * 200))
    with pytest.raises(EOFError):
        ends[1].receive(Greeting, most_bytes=100)


def test_descriptors_of_a_message_that_cannot_be_read_are_closed(ends: tuple[Connection, Connection]) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    ends[0].send({"unknown": 1}, [0])
    with pytest.raises(msgspec.ValidationError):
        ends[1].receive(Greeting)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_end_of_the_other_side_is_an_error(ends: tuple[Connection, Connection]) -> None:
    ends[0].socket.sendall(HEAD.pack(100) + b"half")
    ends[0].close()
    with pytest.raises(EOFError):
        ends[1].receive(Greeting)
    with pytest.raises(EOFError):
        ends[1].send(Greeting("x"))
