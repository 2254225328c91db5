"""Read what a program in a sandbox writes, as long as it may: lines, their size, the end of its errors, its time."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from hpclab.grading.execute.protocol import LINE_BYTES
from hpclab.sandbox.termination import Termination

CHUNK = 1 << 16
ERRORS_KEPT = 8000
ERRORS_MOST = 64 << 20


class Pump:
    """The reading ends of a program's two pipes; both are closed at the end of ``run``."""

    def __init__(self, out: int, errors: int, *, most: int, line: Callable[[bytes], None]) -> None:
        self._out, self._errors = out, errors
        self._most, self._line = most, line
        self._unfinished = bytearray()
        self._read = self._complained = 0
        self._until = 0.0
        self.errors = b""

    def run(self, until: float, news: Callable[[], None], descriptor: int) -> Termination | None:
        """Read until ``descriptor`` has news, which ``news`` takes: the program has ended. Or say why it must end:

        TIMEOUT or OUTPUT. ``until`` is a time of time.monotonic.
        """
        self._until = until
        poll = select.poll()
        for one in (self._out, self._errors, descriptor):
            poll.register(one, select.POLLIN)
        while True:
            left = self._until - time.monotonic()
            if left <= 0:
                return Termination.TIMEOUT
            for one, _ in poll.poll(1000 * left):
                if one == descriptor:
                    news()
                    return self._rest()
                elif not self._take(one):
                    poll.unregister(one)
            if self._over:
                return Termination.OUTPUT

    @property
    def _over(self) -> bool:
        return self._read > self._most or len(self._unfinished) > LINE_BYTES or self._complained > ERRORS_MOST

    def _rest(self) -> Termination | None:
        """What it had written before it ended is in the pipes still."""
        for one in (self._out, self._errors):
            os.set_blocking(one, False)
            while not self._over and self._take(one):
                pass
        return Termination.OUTPUT if self._over else None

    def _take(self, one: int) -> bool:
        try:
            data = os.read(one, CHUNK)
        except BlockingIOError:
            return False
        if one == self._errors:
            self._complained += len(data)
            self.errors = (self.errors + data)[-ERRORS_KEPT:]
        else:
            self._read += len(data)
            self._unfinished += data
            lines: list[bytearray] = []
            if b"\n" in data:  # else a long line would be searched again with every piece
                *lines, self._unfinished = self._unfinished.split(b"\n")
            began = time.monotonic()
            for line in lines:
                self._line(bytes(line))
            self._until += time.monotonic() - began  # what a line asks for is not the program's time
        return bool(data)

    def close(self) -> None:
        os.close(self._out)
        os.close(self._errors)
