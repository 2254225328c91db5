"""Files stored by the hash of their content: one folder for each object, written once, verified at each use."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import msgspec

from hpclab.errors import GradingError
from hpclab.grading.records.ledger import canonical

HASH = re.compile(r"[0-9a-f]{64}")
CHUNK = 1 << 20
REMEDY = (
    "Somebody or a failing disk changed it after the receipt. `hpclab audit` shows what else is wrong;"
    " restore the class from a backup."
)


class ManifestEntry(msgspec.Struct, frozen=True):
    """One file of an object."""

    size: int
    sha256: str


def put(home: Path, staged: Path) -> tuple[str, dict[str, ManifestEntry]]:
    """Store the files of ``staged`` under ``home``; returns the object's name and its manifest."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = home / f".{secrets.token_hex(8)}.part"
    try:
        entries = _copy(staged, aside / "files")
        name = digest(entries)
        if (home / name).exists():
            return name, entries
        _write(aside / "manifest.json", _manifest(entries))
        sync_folder(aside)
        try:
            aside.rename(home / name)
        except OSError:
            if not (home / name).exists():  # otherwise another process stored the same content first
                raise
        sync_folder(home)
        return name, entries
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def digest(entries: Mapping[str, ManifestEntry]) -> str:
    """Return the name of the object with these files: the SHA-256 of its manifest."""
    return hashlib.sha256(_manifest(entries)).hexdigest()


def digest_of_folder(staged: Path) -> str:
    """Return the name of the object with the files in ``staged``, whether it is stored or not."""
    paths = [path for path in staged.rglob("*") if path.is_symlink() or not path.is_dir()]
    return digest({path.relative_to(staged).as_posix(): entry_of(path, sys.maxsize - 1) for path in paths})


def digest_of_files(files: Mapping[str, bytes]) -> str:
    """Return the name of the object with these files in memory."""
    return digest(
        {path: ManifestEntry(len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()}
    )


def manifest(home: Path, name: str) -> dict[str, ManifestEntry]:
    """Return the verified manifest of an object. Raises GradingError."""
    if not HASH.fullmatch(name):
        raise GradingError(f"{name!r:.80} is not the hash of a submission", "It has 64 hexadecimal digits.")
    path = home / name / "manifest.json"
    try:
        text = _regular(path, 64 << 20)
    except FileNotFoundError:
        raise GradingError(f"the store has no submission {name}", REMEDY) from None
    if hashlib.sha256(text).hexdigest() != name:
        raise GradingError(f"{path} is not what was received", REMEDY)
    return msgspec.convert(json.loads(text), type=dict[str, ManifestEntry])


def read(home: Path, name: str, path: str, most_bytes: int) -> bytes:
    """Return one verified file of an object. Raises GradingError."""
    entry = manifest(home, name).get(path)
    if entry is None:
        raise GradingError(f"submission {name[:12]} holds no {path!a}", "See its receipt for what it holds.")
    if entry.size > most_bytes:
        raise GradingError(
            f"{path!a} of submission {name[:12]} has {entry.size} bytes, more than {most_bytes}",
            "A notebook this large holds something besides the lab: look at it, then ask for it again.",
        )
    whole = home / name / "files" / path
    try:
        data = _regular(whole, entry.size)
    except OSError as problem:
        raise GradingError(f"{whole}: {problem.strerror}", REMEDY) from None
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise GradingError(f"{whole} is not what was received", REMEDY)
    return data


def verify(home: Path, name: str) -> None:
    """Check that an object has exactly the files received, unchanged. Raises GradingError."""
    wanted = manifest(home, name)
    top = home / name / "files"
    there = {
        path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_symlink() or not path.is_dir()
    }
    for path in sorted(there ^ set(wanted)):
        what = "was added to" if path in there else "is missing from"
        raise GradingError(f"{path!a} {what} submission {name}", REMEDY)
    for path, entry in wanted.items():
        try:
            found = entry_of(top / path, entry.size)
        except OSError as problem:
            raise GradingError(f"{top / path}: {problem.strerror}", REMEDY) from None
        if found != entry:
            raise GradingError(f"{top / path} is not what was received", REMEDY)


def entry_of(path: Path, most_bytes: int) -> ManifestEntry:
    """Return size and SHA-256 of a regular file, reading at most one byte more than ``most_bytes``."""
    total, found = 0, hashlib.sha256()
    file = _open(path)
    try:
        while total <= most_bytes and (chunk := os.read(file, min(CHUNK, most_bytes + 1 - total))):
            total += len(chunk)
            found.update(chunk)
    finally:
        os.close(file)
    return ManifestEntry(total, found.hexdigest())


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to disk."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _copy(staged: Path, target: Path) -> dict[str, ManifestEntry]:
    """Copy and flush every file and folder below ``staged``; returns the files sorted by path."""
    target.mkdir(parents=True, mode=0o700)
    found: dict[str, ManifestEntry] = {}
    folders = [target]
    for path in sorted(staged.rglob("*")):
        place = target / path.relative_to(staged)
        if path.is_dir() and not path.is_symlink():
            place.mkdir(mode=0o700)
            folders.append(place)
            continue
        data = _regular(path, None)
        _write(place, data)
        name = PurePosixPath(path.relative_to(staged)).as_posix()
        found[name] = ManifestEntry(len(data), hashlib.sha256(data).hexdigest())
    for folder in reversed(folders):
        if folder != target and not any(folder.iterdir()):
            folder.rmdir()
        else:
            sync_folder(folder)
    return dict(sorted(found.items()))


def _manifest(entries: Mapping[str, ManifestEntry]) -> bytes:
    return canonical({path: msgspec.structs.asdict(entry) for path, entry in entries.items()})


def _open(path: Path) -> int:
    """Open a regular file that is not a symbolic link. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(22, "is not a regular file", str(path))
    return file


def _regular(path: Path, most_bytes: int | None) -> bytes:
    with os.fdopen(_open(path), "rb") as file:
        return file.read() if most_bytes is None else file.read(most_bytes + 1)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
        os.fchmod(out.fileno(), 0o400)
