"""Messages with file descriptors, between the client of a sandbox and the programs inside that serve it."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

HEAD = struct.Struct("!Q")
MESSAGE_BYTES = 1 << 30  # a whole submission
DESCRIPTORS = 4


class Connection:
    """One end of a connection. Methods raise EOFError when the other end is gone, TimeoutError after a set timeout."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        data = msgspec.msgpack.encode(message)
        try:
            # One byte of the head carries the descriptors, so that they arrive with their message.
            sent = socket.send_fds(self.socket, [HEAD.pack(len(data))], list(descriptors))
            self.socket.sendall(HEAD.pack(len(data))[sent:] + data)
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None

    def receive(self, kind: Any = Any, *, most_bytes: int = MESSAGE_BYTES) -> tuple[Any, list[int]]:
        """Receive the next message, of type ``kind``, and its descriptors, which are not inheritable.

        Raises msgspec.MsgspecError where it is not of that type.
        """
        try:
            head, descriptors, _, _ = socket.recv_fds(self.socket, HEAD.size, DESCRIPTORS)
        except ConnectionResetError:
            raise EOFError from None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        try:
            if not head:
                raise EOFError
            (size,) = HEAD.unpack(head + self._exactly(HEAD.size - len(head)))
            if size > most_bytes:
                raise EOFError
            message = msgspec.msgpack.decode(self._exactly(size), type=kind)
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        return message, descriptors

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self.socket.recv(min(1 << 20, size - len(parts)))
            except ConnectionResetError:
                raise EOFError from None
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def close(self) -> None:
        self.socket.close()


def pair() -> tuple[Connection, Connection]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Connection(one), Connection(other)
