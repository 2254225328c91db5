"""Messages, and descriptors with them, between the keeper and the processes that it has forked for it."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

HEAD = struct.Struct("!Q")
MOST_BYTES = 1 << 30
MOST_DESCRIPTORS = 4


class Wire:
    """One end of a connection. ``receive`` raises EOFError when the other end is gone."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        data = msgspec.msgpack.encode(message)
        try:
            # One byte of the head carries them, so that they come with their message.
            socket.send_fds(self.socket, [HEAD.pack(len(data))], list(descriptors))
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        head, descriptors, _, _ = socket.recv_fds(self.socket, HEAD.size, MOST_DESCRIPTORS)
        head += self._exactly(HEAD.size - len(head)) if head else b""
        if not head:
            raise EOFError
        (size,) = HEAD.unpack(head)
        if size > MOST_BYTES:
            raise EOFError
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        message: dict[str, Any] = msgspec.msgpack.decode(self._exactly(size))
        return message, descriptors

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self.socket.recv(min(1 << 20, size - len(parts)))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def close(self) -> None:
        self.socket.close()


def pair() -> tuple[Wire, Wire]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Wire(one), Wire(other)
