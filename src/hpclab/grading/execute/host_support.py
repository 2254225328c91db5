"""Check whether this machine can confine untrusted programs, with which means, and what is missing.

``look`` reads the machine; ``judge`` decides, pure. A missing feature that a lab needs raises an error with a
remedy; one that only weakens the isolation is reported.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

import msgspec

from hpclab.errors import HostUnsuitable
from hpclab.sandbox import ids

KERNEL = (5, 12)  # mount_setattr(2), which makes a whole mount tree read-only
NONE_AT_ALL = "/proc/sys/user/max_user_namespaces"
SWITCHES = {
    NONE_AT_ALL: "0",
    # The next two settings don't apply to root.
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine offers this account. ``shut``: kernel settings that forbid user namespaces."""

    root: bool
    kernel: str
    shut: tuple[str, ...] = ()
    subids: int = 0  # consecutive ids, for users and for groups
    newuidmap: bool = False


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """``description`` is for the log of a run; ``problem`` and ``remedy`` are empty where untrusted code can be confined."""

    description: str
    problem: str = ""
    remedy: str = ""


def look() -> Facts:
    """Return what this machine offers the account of this process."""
    uid = os.geteuid()
    shut = [
        path
        for path, value in SWITCHES.items()
        if (uid or path == NONE_AT_ALL) and Path(path).is_file() and Path(path).read_text().strip() == value
    ]
    return Facts(
        root=uid == 0,
        kernel=platform.release(),
        shut=tuple(shut),
        subids=min(max((count for _, count in ids.subids(path, uid)), default=0) for path in ids.FILES),
        newuidmap=bool(shutil.which("newuidmap") and shutil.which("newgidmap")),
    )


def judge(facts: Facts, *, cluster: bool) -> Confinement:
    """Decide whether submissions of a lab, with a ``cluster`` or without, can be confined here."""
    numbers = re.match(r"(\d+)\.(\d+)", facts.kernel)
    if numbers and (int(numbers[1]), int(numbers[2])) < KERNEL:
        return Confinement(
            description="",
            problem=f"Linux {facts.kernel} is too old to confine untrusted programs",
            remedy=f"Grade on a machine with Linux {KERNEL[0]}.{KERNEL[1]} or newer.",
        )
    if facts.shut:
        return Confinement(
            description="",
            problem="user namespaces are switched off here, and untrusted programs run in namespaces only",
            remedy="An administrator can allow them: " + ", ".join(facts.shut),
        )
    if facts.root:
        return Confinement(description="user ids of their own (this is root), and namespaces")
    apart = facts.newuidmap and facts.subids >= ids.LEAST
    if apart:
        return Confinement(description=f"user ids of their own ({facts.subids} sub-ids), and namespaces")
    lacks = "newuidmap" if not facts.newuidmap else f"{ids.LEAST} sub-ids (there are {facts.subids})"
    if cluster:
        return Confinement(
            description="",
            problem=f"a lab with a cluster cannot be graded here: this account lacks {lacks},"
            " and an isolated cluster needs user ids of its own for its daemons, the learner and the grader",
            remedy="Ask an administrator for `apt-get install uidmap` and, once,"
            " `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 YOU`;"
            " labs in plain Python can be graded as it is.",
        )
    return Confinement(
        description=f"namespaces alone: this account lacks {lacks}, so a submission runs as the same user as the"
        " tests after it. What it wrote is read when all of it is stopped; it sees no file of yours, no process"
        " and no network"
    )


def require(*, cluster: bool) -> str:
    """Return a description of what confines untrusted code here. Raises HostUnsuitable where nothing does."""
    found = judge(look(), cluster=cluster)
    if found.problem:
        raise HostUnsuitable(found.problem, found.remedy)
    return found.description
