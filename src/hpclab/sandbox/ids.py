"""Which user ids a sandbox may have: its root, its stranger, and whoever judges the stranger's work.

Root hands out ids of a range that nobody has. An ordinary user has sub-ids (/etc/subuid), handed out by
newuidmap. Where there are none, all of them are this user: then namespaces alone keep the stranger in.
"""

from __future__ import annotations

import pwd
import shutil
from pathlib import Path

import msgspec

from hpclab.shell import run

COUNT = 65536
# Below systemd's and useradd's ranges there is room (systemd's UIDS-GIDS); clusters have the first three parts of it.
ROOTS_FIRST = 0x70000000 + 3 * COUNT
ROOT, LEARNER, GRADER = 0, 1000, 2000
FILES = (Path("/etc/subuid"), Path("/etc/subgid"))


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """Id maps as (inside, outside, count); ``who`` is "root", "subids" or "one"."""

    who: str
    uids: tuple[tuple[int, int, int], ...]
    gids: tuple[tuple[int, int, int], ...]

    @property
    def apart(self) -> bool:
        """Whether the stranger is another user than the sandbox's keeper."""
        return self.who != "one"

    @property
    def words(self) -> str:
        """Who keeps the stranger's files and processes from the keeper's."""
        if self.apart:
            return "user ids of their own, and namespaces"
        return "namespaces alone: this account has no sub-ids (man subuid), so all in a sandbox is this user"


def at_hand(uid: int, gid: int, files: tuple[Path, Path] = FILES) -> Ids:
    """What this user may hand out."""
    if uid == 0:
        every = ((0, ROOTS_FIRST, COUNT),)
        return Ids(who="root", uids=every, gids=every)
    found = [subids(path, uid) for path in files]
    if all(count for _, count in found) and shutil.which("newuidmap") and shutil.which("newgidmap"):
        rows = [
            ((0, own, 1), (1, first, min(count, COUNT - 1)))
            for own, (first, count) in zip((uid, gid), found, strict=True)
        ]
        return Ids(who="subids", uids=rows[0], gids=rows[1])
    return Ids(who="one", uids=((0, uid, 1),), gids=((0, gid, 1),))


def subids(path: Path, uid: int) -> tuple[int, int]:
    """The first range (first, count) of this user that is large enough; (0, 0) where there is none."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return (0, 0)
    for line in lines:
        fields = line.strip().split(":")
        numbers = [int(field) for field in fields[1:] if field.isdigit()]
        if fields[0] in (name, str(uid)) and len(numbers) == 2 and numbers[1] > GRADER:
            return numbers[0], numbers[1]
    return (0, 0)


def write(pid: int, ids: Ids) -> None:
    """Give process ``pid``, in its new user namespace, these ids. Raises OSError, CommandFailed."""
    if ids.who == "subids":
        for program, rows in {"newuidmap": ids.uids, "newgidmap": ids.gids}.items():
            run([program, str(pid), *(str(number) for row in rows for number in row)], step="mapping ids")
        return
    if ids.who == "one":
        Path(f"/proc/{pid}/setgroups").write_text("deny")  # else the kernel takes no map of groups
    for name, rows in {"uid_map": ids.uids, "gid_map": ids.gids}.items():
        Path(f"/proc/{pid}/{name}").write_text("".join(f"{a} {b} {c}\n" for a, b, c in rows))


def write_own(*, inside: int, outside: int) -> None:
    """In a new user namespace that this process has just made: ``inside`` is who it was, ``outside``."""
    Path("/proc/self/setgroups").write_text("deny")
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/self/{name}").write_text(f"{inside} {outside} 1\n")
