"""Which files of a run are kept, and how they are fetched from the cluster."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import msgspec

from hpclab.slurm import Runner

LITTER = frozenset({"__pycache__", ".ipynb_checkpoints", ".cache"})
NAMED = 50  # skipped files that are named; of the others only the number is given


class ArtifactLimits(msgspec.Struct, frozen=True):
    """How much of a run's work folder is kept."""

    file_bytes: int = 5 << 20
    total_bytes: int = 20 << 20
    count: int = 200


class Skipped(msgspec.Struct, frozen=True):
    """A file that was not kept, and why. Size in bytes."""

    path: str
    size: int
    why: str


def select_files(files: Sequence[tuple[str, int]], limits: ArtifactLimits) -> tuple[list[str], list[Skipped]]:
    """Which of the files (path, size) to keep. Those near the top of the folder come first. Pure."""
    kept: list[str] = []
    skipped: list[Skipped] = []
    total = 0
    for path, size in sorted(files, key=lambda file: (file[0].count("/"), file[0])):
        if LITTER & set(PurePosixPath(path).parts):
            continue
        if size > limits.file_bytes:
            skipped.append(Skipped(path, size, f"larger than {limits.file_bytes} bytes"))
        elif len(kept) == limits.count:
            skipped.append(Skipped(path, size, f"more than {limits.count} files"))
        elif total + size > limits.total_bytes:
            skipped.append(Skipped(path, size, f"more than {limits.total_bytes} bytes in all"))
        else:
            kept.append(path)
            total += size
    if len(skipped) > NAMED:
        rest = skipped[NAMED:]
        skipped = skipped[:NAMED]
        skipped.append(Skipped(f"and {len(rest)} more", sum(file.size for file in rest), "see above"))
    return kept, skipped


def list_files(folder: str, launch: Runner) -> list[tuple[str, int]]:
    """Every regular file below ``folder`` on the cluster, with its size; links are not followed."""
    done = launch(["find", folder, "-xdev", "-type", "f", "-printf", r"%s %P\0"])
    lines = [line.partition(" ") for line in done.stdout.split("\0") if line]
    return [(path, int(size)) for size, _, path in lines if size.isdigit() and "\ufffd" not in path]


def fetch(folder: str, paths: Sequence[str], launch: Runner) -> bytes:
    """The files as one tar archive; one that changes or vanishes meanwhile is taken as it is or left out."""
    if not paths:
        return b""
    pack = 'cd -- "$1" && shift && tar --ignore-failed-read --no-recursion -cf - -- "$@" | base64'
    done = launch(["sh", "-c", pack, "sh", folder, *paths])
    try:
        return base64.b64decode(done.stdout)
    except binascii.Error:
        return b""


def unpack(archive: bytes, into: Path, limits: ArtifactLimits) -> list[str]:
    """Write the archive's regular files below ``into``; their paths.

    The input is untrusted: paths, kinds and sizes are checked. Of a truncated or damaged archive
    the files before the fault are kept.
    """
    names: list[str] = []
    total = 0
    if not archive:
        return names
    with contextlib.suppress(tarfile.TarError, EOFError), tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            total += member.size
            path = PurePosixPath(member.name)
            if not member.isreg() or path.is_absolute() or ".." in path.parts or total > limits.total_bytes:
                continue
            source = tar.extractfile(member)
            assert source is not None  # a regular file has content
            data = source.read()
            target = into / path
            with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):  # "a" and "a/b"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
                names.append(member.name)
    return names
