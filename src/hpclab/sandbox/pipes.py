"""Exchange lines with a program in a sandbox while it runs, with limits on output and time."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable

import msgspec

from hpclab.sandbox.termination import Termination

AFTERWARDS_S = (
    1.0  # seconds to read what is left in the pipes after the program's end: a child may hold them open
)
ERRORS_BYTES = 8000  # bytes kept of the end of its stderr
LINE_BYTES = 64 << 20  # bytes of the longest line
CHUNK = 1 << 16

Line = Callable[[bytes], bytes | None]


class SessionOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a session ended: TIMEOUT or OUTPUT where a limit ended it; and the end of stderr."""

    limit: Termination | None
    errors: str


class PipeSession:
    """This side's ends of a program's pipes; ``run`` closes all of them at the end.

    ``ended`` is a descriptor that becomes readable when the program has ended; it stays open.
    """

    def __init__(self, *, ended: int, stdout: int, stderr: int, stdin: int | None = None) -> None:
        self._ended, self._stdin, self._stderr = ended, stdin, stderr
        self._open = {handle for handle in (stdin, stdout, stderr) if handle is not None}
        self._to_write = b""
        self._unfinished = bytearray()
        self._errors = b""
        self._count = 0
        self._deadline = 0.0
        self._ready = selectors.DefaultSelector()
        for handle in self._open:
            os.set_blocking(handle, False)
        for handle in (stdout, stderr, ended):
            self._ready.register(handle, selectors.EVENT_READ)

    def run(
        self, first: bytes, line: Line, *, seconds: float, most_bytes: int, answers: bool
    ) -> SessionOutcome:
        """Write ``first``, pass each line to ``line`` and write what that returns, until the program ends.

        ``most_bytes`` limits stdout and stderr together. The time that ``line`` takes doesn't count as the
        program's. An incomplete last line is dropped: the program was stopped while writing. Without ``answers``,
        stdin is closed after ``first``.
        """
        self._deadline = time.monotonic() + seconds
        try:
            limit = self._until_ended(first, line, most_bytes, answers)
            return SessionOutcome(limit=limit, errors=self._errors.decode(errors="replace"))
        finally:
            self.close()

    def close(self) -> None:
        self._ready.close()
        for handle in list(self._open):
            self._close(handle)

    def _until_ended(self, first: bytes, line: Line, most_bytes: int, answers: bool) -> Termination | None:
        ended = False
        self._send(first)
        while True:
            if self._stdin in self._open and not self._to_write and not answers:
                self._close(self._stdin)
            for key, _ in self._ready.select(max(0.0, self._deadline - time.monotonic())):
                if key.fd == self._ended:
                    self._ready.unregister(key.fd)
                    ended, self._deadline = True, min(self._deadline, time.monotonic() + AFTERWARDS_S)
                elif key.fd == self._stdin:
                    self._send(b"")
                else:
                    self._receive(key.fd, line)
            if self._count > most_bytes or len(self._unfinished) > LINE_BYTES:
                return Termination.OUTPUT
            if ended and not self._open - {self._stdin}:
                return None
            if time.monotonic() >= self._deadline:
                return None if ended else Termination.TIMEOUT

    def _send(self, data: bytes) -> None:
        """Write what fits now, the rest later. Drops the data once the program has closed its stdin."""
        waited = bool(self._to_write)
        self._to_write += data
        try:
            if self._to_write and self._stdin in self._open:
                self._to_write = self._to_write[os.write(self._stdin, self._to_write) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._to_write = b""
        if self._stdin is not None and bool(self._to_write) != waited:
            if waited:
                self._ready.unregister(self._stdin)
            else:
                self._ready.register(self._stdin, selectors.EVENT_WRITE)

    def _receive(self, handle: int, line: Line) -> None:
        try:
            data = os.read(handle, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._ready.unregister(handle)
            self._close(handle)
            return
        self._count += len(data)
        if handle == self._stderr:
            self._errors = (self._errors + data)[-ERRORS_BYTES:]
            return
        self._unfinished += data
        if b"\n" not in data:  # avoids searching a long line again with every piece
            return
        *lines, self._unfinished = self._unfinished.split(b"\n")
        began = time.monotonic()
        for text in lines:
            if answer := line(bytes(text)):
                self._send(answer)
        self._deadline += time.monotonic() - began

    def _close(self, handle: int | None) -> None:
        if handle is not None:
            self._open.discard(handle)
            os.close(handle)
