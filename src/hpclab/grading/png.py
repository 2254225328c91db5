"""A stranger's picture → the picture alone. Bytes are checked and counted; no pixel is decoded here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by its colour type
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
LARGEST = 2 << 20  # bytes of a picture's file
PIXELS = 4_000_000
CHUNKS = 4096


def clean(data: bytes) -> bytes | None:
    """The picture alone, where ``data`` is a sound PNG of a reasonable size; else None.

    Only the chunks that draw it are kept, each with its checksum, and what is packed in it has just the
    size that its head announces: nothing else travels in the file. No pixel is decoded here.
    """
    if not data.startswith(PNG) or len(data) > LARGEST:
        return None
    chunks = list(_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND":
        return None
    size = _unpacked_size(chunks[0][1])
    names = [name for name, _ in chunks]
    packed = b"".join(body for name, body in chunks if name == b"IDAT")
    if size is None or names.count(b"IHDR") != 1 or not _unpacks_to(packed, size):
        return None
    kept = [(b"IHDR", chunks[0][1])]
    kept += [(name, body) for name, body in chunks if name in (b"PLTE", b"tRNS") and len(body) <= 768]
    kept += [(b"IDAT", packed), (b"IEND", b"")]
    return PNG + b"".join(_chunk(name, body) for name, body in kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG; none at all where one of them is broken."""
    found: list[tuple[bytes, bytes]] = []
    at = len(PNG)
    while at + 12 <= len(data) and len(found) < CHUNKS:
        (length,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if data[at : at + 12 + length] != _chunk(name, body) or len(body) != length:
            return
        found.append((name, body))
        at += 12 + length
        if name == b"IEND":
            yield from found
            return


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _unpacked_size(head: bytes) -> int | None:
    """How many bytes the pixels take, a byte before each row; None where the head is not one of those shown."""
    if len(head) != 13:
        return None
    width, height, depth, colour, packing, filtering, interlaced = struct.unpack(">IIBBBBB", head)
    sound = depth in DEPTHS.get(colour, ()) and (packing, filtering, interlaced) == (0, 0, 0)
    if not sound or not width or not height or width * height > PIXELS:
        return None
    return int(height * (1 + (width * depth * CHANNELS[colour] + 7) // 8))


def _unpacks_to(packed: bytes, size: int) -> bool:
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(packed, size + 1)
    except zlib.error:
        return False
    return len(unpacked) == size and unpacker.eof and not unpacker.unused_data
