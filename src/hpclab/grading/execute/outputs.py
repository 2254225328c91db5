"""What cells show, kept as a notebook keeps it, and never more than a given number of bytes and pieces.

Texts come from the descriptors 1 and 2, so that children and libraries are heard too. Both are pipes
that are read by a thread while a cell computes, and by the cell's own thread whenever the order
of two outputs matters: before a picture, at the end of a cell.
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
PIPE_BYTES = 1 << 20  # a library that prints without letting go of the interpreter must find room
CHUNK = 1 << 16
F_SETPIPE_SZ = 1031
# What is kept of a rich output: texts, and pictures in base64. The rest is for programs.
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
    """The outputs of the cell that runs, and how much of the run's room is left."""

    def __init__(self, bytes_left: int) -> None:
        self.bytes_left = bytes_left
        self.pieces = PIECES
        self.over = False
        self.outputs: list[dict[str, Any]] = []
        self._texts: dict[int, list[bytes]] = {}
        self._ids: dict[str, dict[str, Any]] = {}

    @property
    def closed(self) -> bool:
        """Whether nothing more is kept, so that nothing need be made ready for it."""
        return self.bytes_left <= 0 or self.pieces <= 0

    def text(self, name: str, data: bytes) -> None:
        """Something came out of stdout or stderr."""
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
        """A picture, a value, an error; None where there is no room for it."""
        size = _size(output)
        if size > self.bytes_left or not self._piece():
            self.over = True
            return None
        self.bytes_left -= size
        self.outputs.append(output)
        return output

    def named(self, name: str, output: dict[str, Any] | None) -> None:
        """Remember under its display id what may be shown again with new content."""
        if output:
            self._ids[name] = output

    def again(self, name: str, data: dict[str, str]) -> None:
        """Show something else in the place of what ``name`` stands for."""
        old = self._ids.get(name)
        size = _size(data) - (_size(old["data"]) if old else 0)
        if old and size <= self.bytes_left:
            self.bytes_left -= size
            old["data"] = data
        else:
            self.over = self.over or old is not None

    def clear(self) -> None:
        """Forget what the cell has shown; its room stays used."""
        self.outputs.clear()
        self._texts.clear()

    def taken(self) -> list[dict[str, Any]]:
        """The outputs, whole; the next cell begins with none."""
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
    """What is kept of a rich output's forms; whatever is no text is dropped."""
    if not isinstance(data, dict):
        return {}
    return {kind: clean(data[kind]) for kind in KINDS if isinstance(data.get(kind), str)}


def clean(text: str) -> str:
    """``text`` as something that can be written: halves of characters become question marks."""
    return str(text).encode(errors="replace").decode()


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_size(part) for part in value.values())
    return sum(_size(part) for part in value) if isinstance(value, list) else 8


class Descriptors:
    """The descriptors 1 and 2, caught. ``late`` is called once in the reading thread when ``end`` has come."""

    def __init__(self, kept: Kept, end: float, late: Callable[[], None]) -> None:
        self._kept, self._end, self._late = kept, end, late
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._readers: dict[int, str] = {}
        for number, name in ((1, "stdout"), (2, "stderr")):
            reader, writer = os.pipe()
            with contextlib.suppress(OSError):  # this user's pipes may have used up what the system allows
                fcntl.fcntl(writer, F_SETPIPE_SZ, PIPE_BYTES)
            os.dup2(writer, number)
            os.close(writer)
            os.set_blocking(reader, False)
            self._readers[aside(reader)] = name
        threading.Thread(target=self._read, daemon=True).start()

    def drain(self) -> None:
        """Take what has been written so far."""
        if os.getpid() != self._pid:  # in a child that a cell forked, the outputs are the parent's to read
            return
        with self._lock:
            for reader, name in self._readers.items():
                self._take(reader, name)

    def _take(self, reader: int, name: str) -> None:
        # No more than a pipe's worth at a time: a child that prints for ever must not keep us here.
        for _ in range(PIPE_BYTES // CHUNK + 1):
            try:
                data = os.read(reader, CHUNK)
            except OSError:  # nothing more, or a cell has closed it
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
                return  # a cell has closed every descriptor
            for number, event in events:
                if event & select.POLLHUP and not event & select.POLLIN:
                    poll.unregister(number)
            self.drain()


def aside(descriptor: int) -> int:
    """``descriptor`` under a high number, which nobody gets who opens files."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 200)
    os.close(descriptor)
    return moved
