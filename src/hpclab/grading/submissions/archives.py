"""zip and tar → a folder, with limits on the bytes that are actually extracted.

    extract(archive, target) -> ((path in the archive, why it was left out), ...)

Only regular files are written, at paths that ``paths`` allows, into a new private folder. Links, devices,
encrypted entries, entries with the same name, and files over the limit for one file are left out and reported, so
that one student's upload cannot stop the archive of a course. An archive that is damaged, has a false structure
or expands beyond the limits is refused as a whole. Archives inside the archive are not extracted.
"""

from __future__ import annotations

import bz2
import itertools
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import msgspec

from hpclab.errors import GradingError
from hpclab.grading.submissions import paths

CHUNK = 1 << 18
REMEDY = "Download or make it again, or unpack it by hand and collect the folder."


class ArchiveLimits(msgspec.Struct, frozen=True, kw_only=True):
    """For a whole course. Text compresses 5 to 20 times; ``ratio`` leaves room for repetitive logs."""

    total_bytes: int = 8 << 30
    file_bytes: int = 64 << 20
    entries: int = 100_000
    ratio: int = 100
    free_bytes: int = 64 << 20  # any archive may expand to this, however small it is
    directory_bytes: int = 64 << 20  # a zip's directory of its entries
    header_bytes: int = 1 << 20  # one header of a tar


DEFAULT_LIMITS = ArchiveLimits()


def extract(
    archive: Path, target: Path, limits: ArchiveLimits = DEFAULT_LIMITS
) -> tuple[tuple[str, str], ...]:
    """Extract ``archive`` into the new folder ``target``; returns what was left out. Raises GradingError."""
    target.mkdir(parents=True, mode=0o700)
    budget = _Budget(
        min(limits.total_bytes, limits.free_bytes + limits.ratio * archive.stat().st_size), archive
    )
    kind = detect_kind(archive)
    if not kind:
        raise GradingError(
            f"{archive} is not an archive of a known kind", "Use zip, tar, tar.gz, tar.bz2 or tar.xz."
        )
    try:
        if kind == "zip":
            return tuple(_zip(archive, target, limits, budget))
        with tempfile.TemporaryFile(dir=target.parent) as plain:
            for chunk in decompress(archive, kind):
                budget.use(len(chunk))
                plain.write(chunk)
            plain.seek(0)
            return tuple(_tar(ReadGuard(plain, limits.header_bytes), target, limits))
    except (
        *(zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError),
        *(ValueError, OverflowError, IndexError, KeyError, RecursionError, NotImplementedError, UnicodeError),
    ) as problem:
        raise GradingError(
            f"{archive} is damaged: {str(problem) or type(problem).__name__}", REMEDY
        ) from None


class _Budget:
    """The number of bytes that may still be extracted."""

    def __init__(self, left: int, archive: Path) -> None:
        self._left, self._archive = left, archive

    def use(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise GradingError(
                f"{self._archive} expands far more than its size suggests; nothing was taken", REMEDY
            )


def _zip(archive: Path, target: Path, limits: ArchiveLimits, budget: _Budget) -> Iterator[tuple[str, str]]:
    with archive.open("rb") as file:
        # zipfile reads the whole directory at once; the guard refuses an unreasonably large one.
        guarded = cast(BinaryIO, ReadGuard(file, limits.directory_bytes))
        with zipfile.ZipFile(guarded) as opened:
            entries = opened.infolist()
            if len(entries) > limits.entries:
                raise ValueError(f"more than {limits.entries} entries")
            _refuse_overlaps(entries)
            claimed = paths.twins(_files(entries)) | _repeated(_files(entries))
            for entry in entries:
                name = entry.orig_filename
                if name.endswith("/") or paths.ignored(name):
                    continue
                why = paths.wrong_with(name) or _wrong_in_zip(entry)
                if not why and name in claimed:
                    why = "two entries claim this name"
                if not why:
                    why = _write(lambda entry=entry: opened.open(entry), target / name, limits, budget)  # type: ignore[misc]
                if why:
                    yield name, why


def _files(entries: list[zipfile.ZipInfo]) -> list[str]:
    return [entry.orig_filename for entry in entries if not entry.orig_filename.endswith("/")]


def _repeated(names: list[str]) -> set[str]:
    seen: set[str] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]


def _wrong_in_zip(entry: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "it is a link" if kind == stat.S_IFLNK else "it is not a regular file"
    if entry.flag_bits & 0x1:
        return "it is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "its compression method is not supported"
    return ""


def _refuse_overlaps(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse overlapping entries: a zip bomb lets many entries share the same bytes."""
    spans = sorted((entry.header_offset, entry.header_offset + 30 + entry.compress_size) for entry in entries)
    for (_, end), (start, _) in itertools.pairwise(spans):
        if start < end:
            raise ValueError("its entries overlap")


def _tar(file: ReadGuard, target: Path, limits: ArchiveLimits) -> Iterator[tuple[str, str]]:
    with tarfile.open(fileobj=cast(IO[bytes], file), mode="r:") as opened:
        members: list[tarfile.TarInfo] = []
        last = -1
        for member in opened:
            if member.offset <= last or member.size < 0:  # Python 3.11.2 loops on negative sizes
                raise ValueError("its headers point backwards")
            last = member.offset
            members.append(member)
            if len(members) > limits.entries:
                raise ValueError(f"more than {limits.entries} entries")
        names = [_tar_name(member) for member in members if not member.isdir()]
        claimed = paths.twins(names) | _repeated(names)
        for member in members:
            name = _tar_name(member)
            if member.isdir() or paths.ignored(name):
                continue
            why = paths.wrong_with(name)
            if not why and (member.issym() or member.islnk()):
                why = "it is a link"
            if not why and (not member.isreg() or member.issparse()):
                why = "it is not a regular file"
            if not why and name in claimed:
                why = "two entries claim this name"
            if not why:
                why = _write(lambda member=member: opened.extractfile(member), target / name, limits, None)  # type: ignore[misc]
            if why:
                yield name, why


def _tar_name(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./")


def _write(open_it: Callable[[], Any], place: Path, limits: ArchiveLimits, budget: _Budget | None) -> str:
    """Write one entry, counting its bytes; returns why it was not taken, or ''."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open_it() as source, place.open("xb") as out:
            total = 0
            while chunk := source.read(CHUNK):
                total += len(chunk)
                if budget:
                    budget.use(len(chunk))
                if total > limits.file_bytes:
                    place.unlink()
                    return f"it has more than {limits.file_bytes} bytes"
                out.write(chunk)
    except (FileExistsError, NotADirectoryError):
        return "a file and a folder claim this name"
    except (zipfile.BadZipFile, EOFError, zlib.error):
        place.unlink(missing_ok=True)
        return "it is damaged"
    return ""


class ReadGuard:
    """A file that refuses reads of more than ``most`` bytes and an unreasonable number of reads.

    A forged header can ask for either.
    """

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
        """Do nothing: the file belongs to the caller."""


def detect_kind(path: Path) -> str:
    """Return zip, gz, bz2, xz or tar, by the first bytes; empty for anything else."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    for magic, name in ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz")):
        if head.startswith(magic):
            return name
    return "tar" if head[257:262] == b"ustar" else ""


def decompress(path: Path, kind: str) -> Iterator[bytes]:
    """Yield the decompressed content of ``path``, in pieces of bounded size."""
    with path.open("rb") as file:
        if kind == "tar":
            while chunk := file.read(CHUNK):
                yield chunk
            return
        decompressor = _decompressor(kind)
        data = b""
        while True:
            if decompressor.eof:  # several streams in a row, as written by pigz and `cat`
                data = decompressor.unused_data.lstrip(b"\0")
                decompressor = _decompressor(kind)
                if not data and not (data := file.read(CHUNK)):
                    return
            elif decompressor.needs_input and not (data := file.read(CHUNK)):
                raise EOFError("it ends too early")
            yield decompressor.decompress(data, CHUNK)
            data = b""


def _decompressor(kind: str) -> Any:
    if kind == "gz":
        return _Gzip()
    return bz2.BZ2Decompressor() if kind == "bz2" else lzma.LZMADecompressor(memlimit=256 << 20)


class _Gzip:
    """zlib with the interface of bz2 and lzma: bounded output, and whether it needs more input."""

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
        data = self._inner.decompress(self._kept + data, most)
        self._kept = self._inner.unconsumed_tail
        return data
