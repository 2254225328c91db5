"""The outputs of cells in the notebook format, limited in bytes and number.

Text comes from descriptors 1 and 2, so output of child processes and libraries is included. Both are pipes
that a thread reads while a cell computes, and that the cell's own thread reads whenever the order of two
outputs matters: before a picture, and at the end of a cell.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any

PIECES = 2000  # outputs of one run
PIPE_BYTES = 1 << 20  # room for a library that prints without releasing the interpreter lock
CHUNK = 1 << 16
F_SETPIPE_SZ = 1031
# The kept formats of a rich output: text, and pictures in base64. The others are for programs.
KINDS = (
    "text/plain",
    "text/html",
    "text/markdown",
    "text/latex",
    "image/png",
    "image/jpeg",
    "image/svg+xml",
)


class Kept:
    """The outputs of the running cell, and how much of the run's space is left."""

    def __init__(self, bytes_left: int) -> None:
        self.bytes_left = bytes_left
        self.pieces = PIECES
        self.over = False
        self.outputs: list[dict[str, Any]] = []
        self._texts: dict[int, list[bytes]] = {}
        self._ids: dict[str, dict[str, Any]] = {}

    @property
    def closed(self) -> bool:
        """Whether nothing more is kept, so that outputs need not be rendered."""
        return self.bytes_left <= 0 or self.pieces <= 0

    def text(self, name: str, data: bytes) -> None:
        """Add text from stdout or stderr."""
        data = self._cut(data)
        last = self.outputs[-1] if self.outputs else {}
        if not data or (last.get("name") != name and not self._piece()):
            return
        if last.get("name") == name:
            self._texts[id(last)].append(data)
        else:
            self.outputs.append({"output_type": "stream", "name": name, "text": ""})
            self._texts[id(self.outputs[-1])] = [data]

    def add(self, output: dict[str, Any]) -> dict[str, Any] | None:
        """Add a picture, a value or an error; returns None where there is no space for it."""
        size = _size(output)
        if size > self.bytes_left or not self._piece():
            self.over = True
            return None
        self.bytes_left -= size
        self.outputs.append(output)
        return output

    def named(self, name: str, output: dict[str, Any] | None) -> None:
        """Remember the output under its display id, so that it can be updated."""
        if output:
            self._ids[name] = output

    def again(self, name: str, data: dict[str, str]) -> None:
        """Replace the content of the output with display id ``name``."""
        old = self._ids.get(name)
        size = _size(data) - (_size(old["data"]) if old else 0)
        if old and size <= self.bytes_left:
            self.bytes_left -= size
            old["data"] = data
        else:
            self.over = self.over or old is not None

    def clear(self) -> None:
        """Remove the cell's outputs; their space stays used."""
        self.outputs.clear()
        self._texts.clear()

    def taken(self) -> list[dict[str, Any]]:
        """Return the cell's outputs and start with none for the next cell."""
        for output in self.outputs:
            if parts := self._texts.get(id(output)):
                output["text"] = b"".join(parts).decode(errors="replace")
        taken = self.outputs
        self.outputs, self._texts = [], {}
        return taken

    def _cut(self, data: bytes) -> bytes:
        if len(data) > self.bytes_left:
            self.over = True
        data = data[: self.bytes_left]
        self.bytes_left -= len(data)
        return data

    def _piece(self) -> bool:
        if self.pieces <= 0:
            self.over = True
            return False
        self.pieces -= 1
        return True


def bundle(data: object) -> dict[str, str]:
    """Return the kept formats of a rich output; values that are not text are dropped."""
    if not isinstance(data, dict):
        return {}
    return {kind: clean(data[kind]) for kind in KINDS if isinstance(data.get(kind), str)}


def clean(text: str) -> str:
    """Return ``text`` in encodable form: lone surrogates become question marks."""
    return str(text).encode(errors="replace").decode()


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_size(part) for part in value.values())
    return sum(_size(part) for part in value) if isinstance(value, list) else 8


class Descriptors:
    """Capture descriptors 1 and 2. The reading thread calls ``late`` once when the time ``end`` is reached."""

    def __init__(self, kept: Kept, end: float, late: Callable[[], None]) -> None:
        self._kept, self._end, self._late = kept, end, late
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._readers: dict[int, str] = {}
        for number, name in ((1, "stdout"), (2, "stderr")):
            reader, writer = os.pipe()
            with contextlib.suppress(OSError):  # this user's pipes may have reached the system's limit
                fcntl.fcntl(writer, F_SETPIPE_SZ, PIPE_BYTES)
            os.dup2(writer, number)
            os.close(writer)
            os.set_blocking(reader, False)
            self._readers[aside(reader)] = name
        threading.Thread(target=self._read, daemon=True).start()

    def drain(self) -> None:
        """Read what has been written so far."""
        if os.getpid() != self._pid:  # in a forked child, leave the outputs to the parent
            return
        with self._lock:
            for reader, name in self._readers.items():
                self._take(reader, name)

    def _take(self, reader: int, name: str) -> None:
        # At most a pipe's worth at a time, so that a child that never stops printing can't block the caller.
        for _ in range(PIPE_BYTES // CHUNK + 1):
            try:
                data = os.read(reader, CHUNK)
            except OSError:  # nothing more, or a cell closed it
                return
            if not data:
                return
            self._kept.text(name, data)

    def _read(self) -> None:
        poll = select.poll()
        for reader in self._readers:
            poll.register(reader, select.POLLIN)
        late = False
        while True:
            left = self._end - time.monotonic()
            if left <= 0 and not late:
                late = True
                self._late()
            events = poll.poll(1000 * left if not late else None)
            if any(event & select.POLLNVAL for _, event in events):
                return  # a cell closed every descriptor
            for number, event in events:
                if event & select.POLLHUP and not event & select.POLLIN:
                    poll.unregister(number)
            self.drain()


def aside(descriptor: int) -> int:
    """Move ``descriptor`` to a high number, which opening files won't reuse."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 200)
    os.close(descriptor)
    return moved
