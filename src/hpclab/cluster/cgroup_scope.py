"""Control groups around a sealed cluster, where there are any: one for all of it, below that one for the learner.

The learner's has what one submission may use; the other has that and what the daemons take, so that a learner
who fills his own takes nothing from those who keep the records. Where no group is at hand, the warden counts
(usage.py), and the kernel's own limit of processes holds for the learner's account as everywhere.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hpclab.cluster import cgroups
from hpclab.cluster.spec import Spec
from hpclab.errors import ClusterError, DeadlineExceeded
from hpclab.sandbox.limits import IsolationLimits
from hpclab.shell import wait_until

NAME = re.compile(r"hpclab-sealed-(\d+)-\d+")
LEARNER = "learner"
# Of those who keep the records, and of the tests, which run while all that the learner left in memory is still there.
DAEMONS_MIB, DAEMONS_TASKS = 4096, 2048
V1 = ("memory", "pids")
_count = itertools.count(1)


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """Files to write a process id to: of the groups around all of it, of those around the learner."""

    all: tuple[Path, ...] = ()
    learner: tuple[Path, ...] = ()
    said: str  # who enforces the limits, in words
    events: Path | None = None  # where the kernel counts what it killed of the learner's

    def killed(self) -> int:
        """How many processes of the learner the kernel has killed for their memory."""
        text = self.events.read_text() if self.events else ""
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))


@contextmanager
def around(spec: Spec) -> Iterator[Fence]:
    """The groups for one sealed cluster, removed afterwards. Raises ClusterError."""
    assert spec.isolation
    name = f"hpclab-sealed-{os.getpid()}-{next(_count)}"
    if spec.host.cgroup == "v1":
        tops = [own_v1(controller) for controller in V1]
    elif spec.host.cgroup == "v2":
        tops = [Path(spec.host.cgroup_top)]
    else:
        yield Fence(
            said="counted four times a second, and the kernel's limit of processes (no cgroup at hand)"
        )
        return
    for top in tops:
        sweep(top)
    try:
        try:
            yield (
                _v1(tops, name, spec.isolation)
                if spec.host.cgroup == "v1"
                else _v2(tops[0], name, spec.isolation)
            )
        except OSError as problem:
            raise ClusterError(
                f"the kernel refused a control group: {problem.filename}: {problem.strerror}"
            ) from None
    finally:
        for top in tops:
            remove(top / name)


def at_hand(*, by_root: bool) -> str:
    """ "v1", "v2" or "none": which groups a sealed cluster that this user starts may have."""
    found = cgroups.at_hand(by_root=by_root)
    if found == "v1" and not all(os.access(own_v1(name) / "cgroup.procs", os.W_OK) for name in V1):
        return "none"
    return found


def own_v1(controller: str) -> Path:
    """The group of version 1 that this process is in: whoever limits it limits what it starts, too."""
    for line in cgroups.OWN.read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            mine = cgroups.ROOT / controller / path.lstrip("/")
            return mine if mine.is_dir() else cgroups.ROOT / controller  # a container sees its own as the top
    return cgroups.ROOT / controller


def _v1(tops: list[Path], name: str, limits: IsolationLimits) -> Fence:
    memory, pids = (top / name for top in tops)
    for group, mb in {memory: limits.memory_mib + DAEMONS_MIB, memory / LEARNER: limits.memory_mib}.items():
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(mb << 20))
        with contextlib.suppress(OSError):  # where swap is not accounted
            (group / "memory.memsw.limit_in_bytes").write_text(str(mb << 20))
    for group, tasks in {
        pids: limits.processes + DAEMONS_TASKS,
        pids / LEARNER: limits.processes + DAEMONS_TASKS,
    }.items():
        group.mkdir()
        (group / "pids.max").write_text(str(tasks))
    return Fence(
        all=(memory / "cgroup.procs", pids / "cgroup.procs"),
        learner=(memory / LEARNER / "cgroup.procs", pids / LEARNER / "cgroup.procs"),
        said="cgroup v1: the kernel stops what takes more memory or makes more processes",
        events=memory / LEARNER / "memory.oom_control",
    )


def _v2(top: Path, name: str, limits: IsolationLimits) -> Fence:
    cgroups.hand_out(top)
    whole = top / name
    whole.mkdir()
    (whole / "cgroup.subtree_control").write_text("+memory +pids")
    for group, mb in {whole: limits.memory_mib + DAEMONS_MIB, whole / LEARNER: limits.memory_mib}.items():
        group.mkdir(exist_ok=True)
        (group / "memory.max").write_text(str(mb << 20))
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0")
        (group / "pids.max").write_text(str(limits.processes + DAEMONS_TASKS))
    (whole / cgroups.MAIN).mkdir()
    return Fence(
        all=(whole / cgroups.MAIN / "cgroup.procs",),
        learner=(whole / LEARNER / "cgroup.procs",),
        said="cgroup v2: the kernel stops what takes more memory or makes more processes",
        events=whole / LEARNER / "memory.events",
    )


def sweep(top: Path) -> None:
    """Remove what keepers left that were killed. Their clusters died with them."""
    for group in top.glob("hpclab-sealed-*"):
        found = NAME.fullmatch(group.name)
        if found and not Path("/proc", found[1]).exists():
            with contextlib.suppress(DeadlineExceeded):
                remove(group)


def remove(group: Path) -> None:
    """Remove a group and those below it, when their processes are gone. Raises DeadlineExceeded."""

    def emptied() -> bool:
        try:
            for path, _, _ in os.walk(group, topdown=False):
                Path(path).rmdir()
        except FileNotFoundError:
            pass  # somebody else sweeps
        except OSError:
            return False
        return True

    wait_until(emptied, f"the cgroup {group} to empty", seconds=10, every=0.02)
