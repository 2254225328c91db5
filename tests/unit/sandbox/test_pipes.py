"""Lines exchanged with a program through pipes: heard, answered, bounded. The tests hold the program's ends."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from hpclab.sandbox.pipes import PipeSession
from hpclab.sandbox.termination import Termination

Start = Callable[..., tuple[PipeSession, int, int, int, int]]


@pytest.fixture
def start() -> Start:
    """A session, and the program's ends: stdin, stdout, stderr, status."""

    def begin() -> tuple[PipeSession, int, int, int, int]:
        (in_r, in_w), (out_r, out_w), (err_r, err_w), (status_r, status_w) = (os.pipe() for _ in range(4))
        return (
            PipeSession(ended=status_r, stdin=in_w, stdout=out_r, stderr=err_r),
            in_r,
            out_w,
            err_w,
            status_w,
        )

    return begin


def test_lines_are_heard_and_answered(start: Start) -> None:
    session, stdin, stdout, stderr, status = start()
    os.write(stdout, b"one\ntw")
    os.write(stdout, b"o\nhalf a li")
    os.write(stderr, b"noise")
    for handle in (stdout, stderr, status):
        os.close(handle)
    heard: list[bytes] = []

    def line(data: bytes) -> bytes | None:
        heard.append(data)
        return b"answer\n" if data == b"one" else None

    said = session.run(b"first\n", line, seconds=20, most_bytes=1000, answers=True)
    assert heard == [b"one", b"two"] and said.limit is None and said.errors == "noise"
    assert os.read(stdin, 100) == b"first\nanswer\n"
    os.close(stdin)


def test_too_much_is_the_end(start: Start) -> None:
    session, stdin, stdout, stderr, status = start()
    os.write(stdout, b"x" * 5000)
    said = session.run(b"", lambda _: None, seconds=20, most_bytes=4000, answers=False)
    assert said.limit is Termination.OUTPUT
    for handle in (stdin, stdout, stderr, status):
        os.close(handle)


def test_too_long_is_the_end(start: Start) -> None:
    session, stdin, stdout, stderr, status = start()
    assert (
        session.run(b"", lambda _: None, seconds=0, most_bytes=4000, answers=False).limit
        is Termination.TIMEOUT
    )
    for handle in (stdin, stdout, stderr, status):
        os.close(handle)


def test_a_child_that_holds_the_pipes_holds_nobody(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpclab.sandbox.pipes.AFTERWARDS_S", 0.05)
    session, stdin, stdout, stderr, status = start()
    os.write(stdout, b"last\n")
    os.write(status, b"0")
    os.close(status)
    heard: list[bytes] = []
    said = session.run(b"", lambda data: heard.append(data), seconds=20, most_bytes=4000, answers=False)  # type: ignore[func-returns-value]
    assert heard == [b"last"] and said.limit is None
    for handle in (stdin, stdout, stderr):
        os.close(handle)


def test_a_program_that_does_not_listen_holds_nobody(start: Start) -> None:
    session, stdin, stdout, stderr, status = start()
    os.close(stdin)
    for handle in (stdout, stderr, status):
        os.close(handle)
    assert (
        session.run(b"x" * (1 << 20), lambda _: None, seconds=20, most_bytes=4000, answers=True).limit is None
    )
