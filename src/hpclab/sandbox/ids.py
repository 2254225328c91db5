"""The user ids of the host behind a sandbox's root, its learner and its grader.

Root takes ids from a range that no account has. An ordinary user has sub-ids (/etc/subuid), mapped by
newuidmap. Without sub-ids every process in a sandbox has this user's id, and only namespaces confine the
submission.

Two sandboxes that run at the same time never share an id, since some of the kernel's limits and counters are per
user id. So ranges are allocated: the process that starts a sandbox holds the lock file of its range, and so does
the program that becomes the sandbox's root. A range is free again when both have ended, in whatever way.

The lock files are in a local folder, never in a home: on NFS, locks fail or reach other machines. Root uses /run,
others /run/lock where all users can write to it (Debian); where those are not writable, both use /var/tmp. Unlike
/run/user/UID they outlive a logout, and unlike /tmp and /dev/shm Slurm's job_container/tmpfs does not make them
private to a job. All processes of an account on a machine find the same folder, also on all nodes of a cluster of
this course.

The account's own persistent cluster keeps the ids that its files have. For root they are outside the ranges
allocated here; for an ordinary user its accounts are, but not the ids that image builds on that cluster may use.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import msgspec

from hpclab import locks
from hpclab.errors import HostUnsuitable
from hpclab.shell import run, wait_until

ROOT, LEARNER, GRADER = 0, 1000, 2000
FILES = (Path("/etc/subuid"), Path("/etc/subgid"))
# systemd's UIDS-GIDS: neither useradd nor systemd assigns 0x70000000 to 0x7fffffff. The ids above ROOT_END
# belong to a grading run's workers and their sandboxes (app/grading/local_worker).
ROOT_FIRST, ROOT_END = 0x70000000, 0x78000000
ROOT_COUNT = 65536  # of each range that root allocates
CLUSTER_COUNT = 65536  # sub-ids of an ordinary user's persistent cluster
ROOT_CLUSTER = (ROOT_FIRST, 3 * 65536)  # of root's persistent clusters: (first, count)
LEAST = 4096  # ids a sandbox needs: system accounts, the learner and the grader
ALLOCATION_S = 600.0  # seconds to wait for a free range: as long as a submission may take

Rows = tuple[tuple[int, int, int], ...]


class Owner(StrEnum):
    """The writer of a user namespace's id maps, which determines the ids allowed in them."""

    ROOT = "root"
    SUBIDS = "subids"
    SELF = "self"  # only this user's own id


class IdRange(msgspec.Struct, frozen=True):
    """``count`` ids of the host: user ids from ``uid``, group ids from ``gid``."""

    uid: int
    gid: int
    count: int


class Allocation(msgspec.Struct, frozen=True):
    """A range reserved for one sandbox while a descriptor of its ``lock`` file is open in any process."""

    owner: Owner
    range: IdRange
    lock: int


class Maps(msgspec.Struct, frozen=True, kw_only=True):
    """Id maps as rows of (inside, outside, count)."""

    owner: Owner
    uids: Rows
    gids: Rows

    @property
    def separate(self) -> bool:
        """Whether the submission runs as another user than the process that started the sandbox."""
        return self.owner != Owner.SELF


# ---- ranges -------------------------------------------------------------------------------------


def parse(text: str, user: str, uid: int) -> list[tuple[int, int]]:
    """Return a user's ranges (first, count) in ``/etc/subuid``'s text, by name or by number. Pure."""
    ranges = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in (user, str(uid)) and fields[1].isdigit() and fields[2].isdigit():
            ranges.append((int(fields[1]), int(fields[2])))
    return ranges


def subids(path: Path, uid: int) -> list[tuple[int, int]]:
    """Return this user's ranges (first, count) in the file ``path``."""
    try:
        text = path.read_text()
    except OSError:
        return []
    return parse(text, account_name(uid), uid)


def account_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def root_ranges() -> list[IdRange]:
    """Return the ranges that root may allocate. Pure."""
    firsts = range(sum(ROOT_CLUSTER), ROOT_END, ROOT_COUNT)
    return [IdRange(first, first, ROOT_COUNT) for first in firsts]


def slices(subuids: Sequence[tuple[int, int]], subgids: Sequence[tuple[int, int]]) -> list[IdRange]:
    """Return the ranges that an ordinary user with these sub-ids may allocate. Pure."""
    pairs = zip(_firsts(subuids), _firsts(subgids), strict=False)
    return [IdRange(uid, gid, LEAST) for uid, gid in pairs]


def _firsts(ranges: Sequence[tuple[int, int]]) -> list[int]:
    firsts: list[int] = []
    lasting = next((pair for pair in ranges if pair[1] >= CLUSTER_COUNT), None)
    for first, count in ranges:
        # A persistent cluster's daemons and accounts have the first ids of its range.
        skipped = LEAST if (first, count) == lasting else 0
        firsts += range(first + skipped, first + count - LEAST + 1, LEAST)
    return firsts


def available(uid: int, files: tuple[Path, Path] = FILES) -> list[IdRange]:
    """Return the ranges that this user may allocate; none without sub-ids or the programs that map them."""
    if uid == 0:
        return root_ranges()
    if not (shutil.which("newuidmap") and shutil.which("newgidmap")):
        return []
    return slices(*(subids(path, uid) for path in files))


# ---- allocation ---------------------------------------------------------------------------------


@contextmanager
def allocated(*, seconds: float = ALLOCATION_S, files: tuple[Path, Path] = FILES) -> Iterator[Allocation]:
    """Reserve a range of ids that no other sandbox of this account has. Raises HostUnsuitable, DeadlineExceeded."""
    uid = os.geteuid()
    ranges = available(uid, files)
    if not ranges:
        raise no_subids(uid, LEAST, files)
    folder = lock_folder(uid)

    def allocate() -> Allocation | None:
        for ids in ranges:
            lock = locks.try_lock(folder / f"{ids.uid}-{ids.gid}")
            if lock is not None:
                return Allocation(Owner.SUBIDS if uid else Owner.ROOT, ids, lock)
        return None

    allocation = wait_until(
        allocate,
        f"one of {len(ranges)} ranges of {ranges[0].count} user ids to become free",
        seconds=seconds,
        every=0.2,
        remedy=f"Each sandbox needs one. Run fewer at once{'' if uid == 0 else ', or ask for more sub-ids'}."
        f" See who holds them: fuser -v {folder}/*",
    )
    try:
        yield allocation
    finally:
        os.close(allocation.lock)


def lock_folder(uid: int) -> Path:
    """Return the folder of the lock files, made if needed. Raises HostUnsuitable unless only this user can write to it."""
    tops = [Path("/run" if uid == 0 else "/run/lock"), Path("/var/tmp")]
    top = next((path for path in tops if os.access(path, os.W_OK | os.X_OK)), tops[-1])
    folder = top / f"hpclab-ids-{uid}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as problem:
        raise HostUnsuitable(
            f"{folder}: {problem.strerror}", f"hpclab keeps locks there: it must be able to write to {top}."
        ) from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid or status.st_mode & 0o022:
        raise HostUnsuitable(
            f"{folder} is not a folder that only user id {uid} can write to",
            "Ask its owner or an administrator to remove it.",
        )
    return folder


def no_subids(uid: int, count: int, files: Sequence[Path] = FILES) -> HostUnsuitable:
    """Return the error for a user with fewer than ``count`` consecutive sub-ids, or without the programs that map them."""
    if not (shutil.which("newuidmap") and shutil.which("newgidmap")):
        return HostUnsuitable(
            "newuidmap is not installed",
            "It maps sub-ids and has to be the system's own. Ask an administrator to run, once:\n"
            "    sudo apt-get install uidmap",
        )
    name = account_name(uid)
    short = next(
        (path for path in files if all(size < count for _, size in subids(path, uid))),
        files[0],
    )
    return HostUnsuitable(
        f"{short} gives {name} no range of {count} sub-ids, which the sandbox's other accounts need",
        "Ask an administrator to run, once:\n"
        f"    sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}\n"
        "(another range if that one is taken; see `man subuid`)",
    )


# ---- maps --------------------------------------------------------------------------------------


def plain_maps(allocation: Allocation | None, uid: int, gid: int) -> Maps:
    """Return the maps of a plain sandbox: its root is the first id of root's range, or an ordinary user itself. Pure."""
    if allocation is None:
        return Maps(owner=Owner.SELF, uids=((0, uid, 1),), gids=((0, gid, 1),))
    ids = allocation.range
    if allocation.owner == Owner.ROOT:
        return Maps(owner=Owner.ROOT, uids=((0, ids.uid, ids.count),), gids=((0, ids.gid, ids.count),))
    return Maps(
        owner=Owner.SUBIDS,
        uids=((0, uid, 1), (1, ids.uid, ids.count)),
        gids=((0, gid, 1), (1, ids.gid, ids.count)),
    )


def write_maps(pid: int, maps: Maps) -> None:
    """Write the id maps of process ``pid`` in its new user namespace. Raises OSError, CommandFailed, HostUnsuitable."""
    if maps.owner == Owner.SUBIDS:
        for program, rows in {"newuidmap": maps.uids, "newgidmap": maps.gids}.items():
            if not shutil.which(program):
                raise no_subids(os.geteuid(), LEAST)
            run([program, str(pid), *(str(number) for row in rows for number in row)], step="mapping ids")
        return
    if maps.owner == Owner.SELF:
        Path(f"/proc/{pid}/setgroups").write_text("deny")  # otherwise the kernel refuses a map of groups
    for name, rows in {"uid_map": maps.uids, "gid_map": maps.gids}.items():
        Path(f"/proc/{pid}/{name}").write_text("".join(f"{a} {b} {c}\n" for a, b, c in rows))


def write_own_map(*, inside: int, outside: int) -> None:
    """Map this process's id ``outside`` to ``inside``, in a user namespace that it has just made."""
    write_maps(
        os.getpid(), Maps(owner=Owner.SELF, uids=((inside, outside, 1),), gids=((inside, outside, 1),))
    )
