"""A hostile folder, which may change during the copy → regular files in a private folder.

    staging = Staging(target, first="ex01.ipynb")
    staging.tree(folder)                    everything below an open folder
    staging.file(folder, name, "as.py")     or one file
    staging.files, staging.notes, staging.changed

Folders are open descriptors, never paths, so replacing a name by a link during the copy has no effect: each step
opens one name, without following a link, below a folder that is already open. A file is first opened without side
effects (O_PATH) and checked; only a regular one is read, through the same inode. Mode bits are not kept. Entries
that are not taken are noted on the receipt and do not stop the rest.

The notebook is copied first, so that other files cannot push it over a limit.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hpclab.errors import UsageError
from hpclab.grading.submissions import paths
from hpclab.grading.submissions.student_ids import shown

MOST_NAMES = 100_000  # in a source
CHUNK = 1 << 20
NOTES = 20  # more are counted, not listed
TRIES = 3  # for a file that changes while it is read
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


class StagingLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one submission.

    A lab's notebook has some tens of kilobytes, an executed one with pictures some megabytes; 64 MiB leave room
    for one that printed far too much, since outputs are dropped before parsing.
    """

    file_bytes: int = 64 << 20
    total_bytes: int = 256 << 20
    entries: int = 2000  # files and folders
    listed: int = 20_000  # names in one folder


DEFAULT_LIMITS = StagingLimits()


class Staging:
    """Copies files into ``target``, a new folder. ``owner``: the user id that must own them, if it is known."""

    def __init__(
        self,
        target: Path,
        *,
        first: str = "",
        limits: StagingLimits = DEFAULT_LIMITS,
        owner: int | None = None,
    ) -> None:
        self.target = target
        self.files: dict[str, int] = {}
        self.changed = 0.0  # the latest change of anything copied, by the file system's clock
        self._first, self._limits, self._owner = first, limits, owner
        self._notes: list[str] = []
        self._more = 0
        self._seen = 0
        self._full = False
        target.mkdir(mode=0o700, parents=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on what was not taken, and why."""
        return (*self._notes, *([f"and {self._more} more of this kind"] if self._more else []))

    def note(self, text: str) -> None:
        """Add a note for the receipt."""
        if len(self._notes) < NOTES:
            self._notes.append(text)
        else:
            self._more += 1

    def tree(self, folder: int, below: str = "") -> None:
        """Take everything below ``folder``, the notebook first."""
        here = os.fstat(folder)
        if self._owner not in (None, here.st_uid):
            self.note(f"{shown(below or '.')} was not taken: it belongs to another user")
            return
        self.changed = max(self.changed, here.st_ctime)
        names, more = list_folder(folder, self._limits.listed)
        if more:
            self.note(
                f"{shown(below or '.')}: more than {self._limits.listed} names, so only the notebook was taken"
            )
            names = [self._first] if not below and self._first else []
        names.sort(key=lambda name: (below or name != self._first, os.fsencode(name)))
        for name in names:
            path = f"{below}/{name}" if below else name
            if paths.ignored(path):
                continue
            if self._seen >= self._limits.entries:
                if not self._full:
                    self.note(
                        f"from {shown(path)} on nothing was taken: more than {self._limits.entries} files"
                    )
                self._full = True
                return
            self._seen += 1
            if why := paths.wrong_with(path):
                self.note(f"{shown(path)} was not taken: {why}")
            else:
                self._entry(folder, name, path, here)

    def file(self, folder: int, name: str, path: str) -> None:
        """Take one file of ``folder`` as ``path``."""
        if why := paths.wrong_with(path):
            self.note(f"{shown(path)} was not taken: {why}")
        else:
            self._entry(folder, name, path, os.fstat(folder))

    def _entry(self, folder: int, name: str, path: str, here: os.stat_result) -> None:
        try:
            with open_entry(name, os.O_PATH, folder) as handle:
                status = os.fstat(handle)
                kind = stat.S_IFMT(status.st_mode)
                if kind == stat.S_IFDIR and status.st_dev == here.st_dev:
                    with open_entry(name, os.O_RDONLY | os.O_DIRECTORY, folder) as inner:
                        if os.path.samestat(os.fstat(inner), status):
                            self.tree(inner, path)
                        else:
                            self.note(f"{shown(path)} was not taken: it changed while it was read")
                elif why := self._wrong(status, kind, here):
                    self.note(f"{shown(path)} was not taken: {why}")
                else:
                    self._take(handle, path, status, here)
        except OSError as problem:
            why = {
                errno.ENOENT: "it went away while it was read",
                errno.ELOOP: "it is a link",
                errno.ENOTDIR: "it changed while it was read",
                errno.EWOULDBLOCK: "another program holds it",
            }.get(problem.errno or 0, problem.strerror or "it cannot be read")
            self.note(f"{shown(path)} was not taken: {why}")

    def _wrong(self, status: os.stat_result, kind: int, here: os.stat_result) -> str:
        if kind != stat.S_IFREG and kind != stat.S_IFDIR:
            return f"it is {KINDS.get(kind, 'no file')}"
        if status.st_dev != here.st_dev:
            return "it lies on another file system"
        if self._owner is not None and status.st_uid != self._owner:
            return "it belongs to another user"
        if status.st_nlink > 1 and status.st_uid != here.st_uid:
            return "it is a second name (hard link) of another user's file"
        if status.st_size > self._limits.file_bytes:
            return f"it has {status.st_size} bytes, more than {self._limits.file_bytes}"
        if sum(self.files.values()) + status.st_size > self._limits.total_bytes:
            return f"all files together have more than {self._limits.total_bytes} bytes"
        return ""

    def _take(self, handle: int, path: str, status: os.stat_result, here: os.stat_result) -> None:
        for _ in range(TRIES):
            size = self._copy(handle, self.target / path, status)
            after = os.fstat(handle)
            if size == status.st_size and _same(status, after):
                break
            (self.target / path).unlink()
            if why := self._wrong(after, stat.S_IFREG, here):
                self.note(f"{shown(path)} was not taken: {why}")
                return
            status = after
        else:
            self.note(f"{shown(path)} was not taken: it changed while it was read")
            return
        self.files[path] = size
        self.changed = max(self.changed, status.st_ctime)
        if status.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
            self.note(f"{shown(path)}: special bits of its mode were not kept")
        if status.st_nlink > 1:
            self.note(f"{shown(path)} has {status.st_nlink} names (hard links)")
        if path.lower().endswith(ARCHIVES):
            self.note(f"{shown(path)} is an archive and was not opened")

    def _copy(self, handle: int, place: Path, status: os.stat_result) -> int:
        """Copy at most the expected size and one byte more; returns the number of bytes copied."""
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The inode that was checked, whatever its name refers to now. O_NONBLOCK: a lease must not block the copy.
        source = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            total = 0
            with place.open("xb") as out:
                while total <= status.st_size and (
                    chunk := os.read(source, min(CHUNK, status.st_size + 1 - total))
                ):
                    out.write(chunk)
                    total += len(chunk)
            return total
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        finally:
            os.close(source)


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def list_folder(folder: int, most: int) -> tuple[list[str], bool]:
    """Return at most ``most`` names in an open folder, and whether there are more."""
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(names) >= most:
                return names, True
            names.append(entry.name)
    return names, False


@contextmanager
def open_entry(name: str | Path, flags: int, folder: int | None = None) -> Iterator[int]:
    """Open ``name`` in ``folder``; a link is opened itself with O_PATH and refused otherwise."""
    file = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def open_below(folder: int, *parts: str) -> Iterator[int]:
    """Open the folder ``parts`` below an open one, step by step. Raises OSError."""
    file = os.dup(folder)
    try:
        for part in parts:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=file)
            os.close(file)
            file = inner
        yield file
    finally:
        os.close(file)


@dataclass(kw_only=True)
class Submission:
    """One submission as a source lists it. ``stage`` copies its files.

    ``student`` is empty if it is unknown or ``why`` says why the submission is refused. ``name`` is the student's
    name in the source, ``lms`` the platform's number for them.
    """

    label: str
    stage: Callable[[Staging], None]
    student: str = ""
    why: str = ""
    name: str = ""
    lms: str = ""
    owner: int | None = None  # the user id that must own all files
    timed: bool = False  # the file system's change time is the time of submission
    late: bool = False  # the platform marked it as late
    notes: list[str] = field(default_factory=list)
    holds: set[str] = field(default_factory=set)  # the names at the top of the source that are part of it


def list_names(folder: int) -> list[str]:
    """Return the names in an open folder, sorted. Raises UsageError for far too many."""
    names, more = list_folder(folder, MOST_NAMES)
    if more:
        raise UsageError(f"the source holds more than {MOST_NAMES} names", "Name the folder of one course.")
    return sorted(names, key=os.fsencode)


def stage_tree(folder: int, parts: Sequence[str]) -> Callable[[Staging], None]:
    """Return a function that stages everything in a folder below an open one."""

    def stage(staging: Staging) -> None:
        with open_below(folder, *parts) as inner:
            staging.tree(inner)

    return stage


def stage_files(folder: int, given: Mapping[str, str]) -> Callable[[Staging], None]:
    """Return a function that stages files of an open folder; ``given`` maps their names to the new ones."""

    def stage(staging: Staging) -> None:
        for name, path in sorted(given.items(), key=lambda pair: (not pair[1].endswith(".ipynb"), pair)):
            staging.file(folder, name, path)

    return stage


def stage_nothing(_staging: Staging) -> None:
    """Stage nothing."""
