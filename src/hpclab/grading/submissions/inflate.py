"""A packed file → its bytes in pieces of bounded size; and a file that no lying header can make endless."""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

CHUNK = 1 << 18


class Guard:
    """A file that does not let a lying header ask for more than ``most`` bytes at once, nor read for ever."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most
        self._size = os.fstat(file.fileno()).st_size
        self._reads = 10_000 + self._size // 64

    def read(self, count: int = -1) -> bytes:
        self._reads -= 1
        if count < 0:
            count = max(0, self._size - self._file.tell())
        if self._reads < 0 or count > self._most:
            raise ValueError("its lists ask for more than an archive of this size can hold")
        return self._file.read(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """The file belongs to the caller."""


def kind_of(path: Path) -> str:
    """zip, gz, bz2, xz or tar, by the first bytes; empty for anything else."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    for magic, name in ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz")):
        if head.startswith(magic):
            return name
    return "tar" if head[257:262] == b"ustar" else ""


def stream(path: Path, kind: str) -> Iterator[bytes]:
    """What is packed in ``path``, in pieces of bounded size, however well it is packed."""
    with path.open("rb") as file:
        if kind == "tar":
            while chunk := file.read(CHUNK):
                yield chunk
            return
        inflate = _inflater(kind)
        data = b""
        while True:
            if inflate.eof:  # the next stream of several, as pigz and `cat` make them
                data = inflate.unused_data.lstrip(b"\0")
                inflate = _inflater(kind)
                if not data and not (data := file.read(CHUNK)):
                    return
            elif inflate.needs_input and not (data := file.read(CHUNK)):
                raise EOFError("it ends too early")
            yield inflate.decompress(data, CHUNK)
            data = b""


def _inflater(kind: str) -> Any:
    if kind == "gz":
        return _Gzip()
    return bz2.BZ2Decompressor() if kind == "bz2" else lzma.LZMADecompressor(memlimit=256 << 20)


class _Gzip:
    """zlib with the manners of the other two: bounded output, and whether it wants more."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._kept = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._kept and not self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        found = self._inner.decompress(self._kept + data, most)
        self._kept = self._inner.unconsumed_tail
        return found
