"""zip and tar → a folder, by a loop of our own: every byte that really comes out is counted.

    extract(archive, target) -> ((path in the archive, why it was left out), ...)

Only regular files are written, at paths that ``paths`` allows, into a new folder where nobody else writes. Links,
devices, encrypted entries, entries that claim one name twice, and files over the cap for one file are left out and
noted: one learner's odd upload must not stop a class's archive. An archive that is damaged, lies about its
structure or unfolds into more than the caps is refused as a whole. Archives in the archive stay closed.
"""

from __future__ import annotations

import itertools
import lzma
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
from hpclab.grading.submissions import inflate, paths

REMEDY = "Download or make it again, or unpack it by hand and collect the folder."


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """For a whole class. Text packs 5 to 20 times; ``ratio`` leaves room for logs that repeat themselves."""

    total_bytes: int = 8 << 30
    file_bytes: int = 64 << 20
    entries: int = 100_000
    ratio: int = 100
    free_bytes: int = 64 << 20  # what any archive may unfold into, however small it is
    directory_bytes: int = 64 << 20  # a zip's own list of what is in it
    header_bytes: int = 1 << 20  # one header of a tar


USUAL = Caps()


def extract(archive: Path, target: Path, caps: Caps = USUAL) -> tuple[tuple[str, str], ...]:
    """Unfold ``archive`` into the new folder ``target``. Raises GradingError."""
    target.mkdir(parents=True, mode=0o700)
    room = _Room(min(caps.total_bytes, caps.free_bytes + caps.ratio * archive.stat().st_size), archive)
    kind = inflate.kind_of(archive)
    if not kind:
        raise GradingError(
            f"{archive} is no archive that is known here", "zip, tar, tar.gz, tar.bz2 and tar.xz are."
        )
    try:
        if kind == "zip":
            return tuple(_zip(archive, target, caps, room))
        with tempfile.TemporaryFile(dir=target.parent) as plain:
            for chunk in inflate.stream(archive, kind):
                room.use(len(chunk))
                plain.write(chunk)
            plain.seek(0)
            return tuple(_tar(inflate.Guard(plain, caps.header_bytes), target, caps))
    except (
        *(zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError),
        *(ValueError, OverflowError, IndexError, KeyError, RecursionError, NotImplementedError, UnicodeError),
    ) as problem:
        raise GradingError(
            f"{archive} is damaged: {str(problem) or type(problem).__name__}", REMEDY
        ) from None


class _Room:
    """How many bytes may still come out."""

    def __init__(self, left: int, archive: Path) -> None:
        self._left, self._archive = left, archive

    def use(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise GradingError(
                f"{self._archive} unfolds into far more than its size lets expect; nothing was taken", REMEDY
            )


def _zip(archive: Path, target: Path, caps: Caps, room: _Room) -> Iterator[tuple[str, str]]:
    with archive.open("rb") as file:
        # zipfile reads the whole directory at once: the guard refuses one that is larger than any honest one.
        guarded = cast(BinaryIO, inflate.Guard(file, caps.directory_bytes))
        with zipfile.ZipFile(guarded) as opened:
            entries = opened.infolist()
            if len(entries) > caps.entries:
                raise ValueError(f"more than {caps.entries} entries")
            _no_overlaps(entries)
            claimed = paths.twins(_files(entries)) | _repeated(_files(entries))
            for entry in entries:
                name = entry.orig_filename
                if name.endswith("/") or paths.ignored(name):
                    continue
                why = paths.wrong_with(name) or _wrong_in_zip(entry)
                if not why and name in claimed:
                    why = "two entries claim this name"
                if not why:
                    why = _write(lambda entry=entry: opened.open(entry), target / name, caps, room)  # type: ignore[misc]
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
        return "it is a link" if kind == stat.S_IFLNK else "it is no regular file"
    if entry.flag_bits & 0x1:
        return "it is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "it is packed in a way that is not read here"
    return ""


def _no_overlaps(entries: list[zipfile.ZipInfo]) -> None:
    """A bomb may let many entries share one heap of bytes."""
    spans = sorted((entry.header_offset, entry.header_offset + 30 + entry.compress_size) for entry in entries)
    for (_, end), (start, _) in itertools.pairwise(spans):
        if start < end:
            raise ValueError("its entries overlap")


def _tar(file: inflate.Guard, target: Path, caps: Caps) -> Iterator[tuple[str, str]]:
    with tarfile.open(fileobj=cast(IO[bytes], file), mode="r:") as opened:
        members: list[tarfile.TarInfo] = []
        last = -1
        for member in opened:
            if member.offset <= last or member.size < 0:  # Python 3.11.2 walks in circles on negative sizes
                raise ValueError("its headers lead backwards")
            last = member.offset
            members.append(member)
            if len(members) > caps.entries:
                raise ValueError(f"more than {caps.entries} entries")
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
                why = "it is no regular file"
            if not why and name in claimed:
                why = "two entries claim this name"
            if not why:
                why = _write(lambda member=member: opened.extractfile(member), target / name, caps, None)  # type: ignore[misc]
            if why:
                yield name, why


def _tar_name(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./")


def _write(open_it: Callable[[], Any], place: Path, caps: Caps, room: _Room | None) -> str:
    """Write one entry, counting what comes; why it was not taken, or nothing."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open_it() as source, place.open("xb") as out:
            total = 0
            while chunk := source.read(inflate.CHUNK):
                total += len(chunk)
                if room:
                    room.use(len(chunk))
                if total > caps.file_bytes:
                    place.unlink()
                    return f"it has more than {caps.file_bytes} bytes"
                out.write(chunk)
    except (FileExistsError, NotADirectoryError):
        return "a file and a folder claim this name"
    except (zipfile.BadZipFile, EOFError, zlib.error):
        place.unlink(missing_ok=True)
        return "it is damaged"
    return ""
