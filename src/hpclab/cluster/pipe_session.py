"""Talk with a program line by line while it runs, however much it writes and however long it takes."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable

import msgspec

from hpclab.cluster.client import Program
from hpclab.sandbox.termination import Termination

AFTERWARDS = (
    1.0  # seconds to read what is still in the pipes when the program has ended: a child may hold them
)
ERRORS = 4096  # bytes of the end of its stderr that are kept
CHUNK = 1 << 16


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """How the session ended: TIMEOUT or OUTPUT where a limit ended it, and the end of what came to stderr."""

    limit: Termination | None
    errors: str


class Conversation:
    """One talk. Closes the three descriptors when it is over."""

    def __init__(self, program: Program, stdin: int, stdout: int, stderr: int) -> None:
        self._program, self._stdin = program, stdin
        self._open = {stdin, stdout, stderr}
        self._stderr = stderr
        self._to_write = b""
        self._unfinished = bytearray()
        self._errors = b""
        self._count = 0
        self._ready = selectors.DefaultSelector()
        for handle in self._open:
            os.set_blocking(handle, False)
        for handle in (stdout, stderr, program.fileno()):
            self._ready.register(handle, selectors.EVENT_READ)

    def hold(
        self,
        first: bytes,
        line: Callable[[bytes], bytes | None],
        *,
        seconds: float,
        most: int,
        answers: bool,
    ) -> Said:
        """Write ``first``, hand each line that comes to ``line`` and write what that returns, until the program ends.

        ``most`` bounds the bytes of stdout and stderr together, and with that a line. Without ``answers``
        stdin is closed behind ``first``.
        """
        try:
            limit = self._until_over(first, line, time.monotonic() + seconds, most, answers)
            if self._unfinished and not limit:
                line(bytes(self._unfinished))
            return Said(limit=limit, errors=self._errors.decode(errors="replace"))
        finally:
            self._ready.close()
            for handle in self._open:
                os.close(handle)

    def _until_over(
        self, first: bytes, line: Callable[[bytes], bytes | None], end: float, most: int, answers: bool
    ) -> Termination | None:
        ended = False
        self._send(first)
        while True:
            if self._stdin in self._open and not self._to_write and not answers:
                self._close(self._stdin)
            events = self._ready.select(max(0.0, end - time.monotonic()))
            for key, _ in events:
                if key.fd == self._program.fileno():
                    self._ready.unregister(key.fd)
                    ended, end = True, min(end, time.monotonic() + AFTERWARDS)
                elif key.fd == self._stdin:
                    self._send(b"")
                else:
                    end += self._hear(key.fd, line)
            if self._count > most:
                return Termination.OUTPUT
            if ended and not self._open - {self._stdin}:
                return None
            if time.monotonic() >= end:
                return None if ended else Termination.TIMEOUT

    def _send(self, data: bytes) -> None:
        """Write what fits; the rest when there is room. A program that does not listen gets nothing."""
        waited = bool(self._to_write)
        self._to_write += data
        try:
            if self._to_write and self._stdin in self._open:
                self._to_write = self._to_write[os.write(self._stdin, self._to_write) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._to_write = b""
        if bool(self._to_write) != waited:
            if waited:
                self._ready.unregister(self._stdin)
            else:
                self._ready.register(self._stdin, selectors.EVENT_WRITE)

    def _hear(self, handle: int, line: Callable[[bytes], bytes | None]) -> float:
        """Take what is there; how many seconds its answers took, which are not the program's."""
        try:
            data = os.read(handle, CHUNK)
        except BlockingIOError:
            return 0.0
        if not data:
            self._ready.unregister(handle)
            self._close(handle)
            return 0.0
        self._count += len(data)
        if handle == self._stderr:
            self._errors = (self._errors + data)[-ERRORS:]
            return 0.0
        self._unfinished += data
        if b"\n" in data:
            *whole, rest = self._unfinished.split(b"\n")
            self._unfinished = rest
            began = time.monotonic()
            for one in whole:
                if answer := line(bytes(one)):
                    self._send(answer)
            return time.monotonic() - began
        return 0.0

    def _close(self, handle: int) -> None:
        self._open.discard(handle)
        os.close(handle)
