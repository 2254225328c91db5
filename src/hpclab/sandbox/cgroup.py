"""Control groups: those that this user may create, and those around one sandbox.

The kernel then stops processes as soon as they exceed a limit, and counts memory that no process maps.

Version 1 has a tree for each controller. Version 2 has one tree, and a group that enables controllers for others
can't have processes itself (https://docs.kernel.org/admin-guide/cgroup-v2.html). An ordinary user can create
groups where systemd has delegated a part of that tree (``systemd-run --user --scope -p Delegate=yes``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hpclab.errors import ClusterError
from hpclab.sandbox.limits import MIB, IsolationLimits
from hpclab.shell import wait_until

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
OTHERS = "hpclab-others"  # processes found in a delegated group, where all groups must be ours
# Slurm 22.05 overlooks the last word of cgroup.controllers, where `pids` comes after `memory`.
CONTROLLERS = ("memory", "pids")
LIMIT_FILES = ("memory.max", "memory.limit_in_bytes", "pids.max")
# The name has the id of the process that started the sandbox: ``sweep`` removes the groups of those that were
# killed.
NAME = re.compile(r"hpclab-(?:sandbox|isolated)-(\d+)-[0-9a-f]+")
LEARNER, MAIN = "learner", "main"
# For an isolated cluster's daemons, in addition to the learner's programs; and for its tests, which run while
# the learner's files are still in memory.
DAEMONS_MIB, DAEMONS_TASKS = 4096, 2048


# ---- groups this user may create -----------------------------------------------------------------


def version(
    *, by_root: bool, v1: Sequence[str] = CONTROLLERS, root: Path | None = None, own: Path | None = None
) -> str:
    """Return "v1", "v2" or "none": the groups this user may create; version 1 with these controllers, as root."""
    if top(by_root=by_root, root=root, own=own):
        return "v2"
    root = root or ROOT
    usable = by_root and all(os.access(root / name / "cgroup.procs", os.W_OK) for name in v1)
    return "v1" if usable else "none"


def top(*, by_root: bool, root: Path | None = None, own: Path | None = None) -> Path | None:
    """Return the group of version 2 below which this user may create others, if any.

    For root that is the root group; for an ordinary user the group of this process, where that was delegated.
    """
    root = root or ROOT
    if not (root / "cgroup.controllers").is_file():
        return None
    try:
        path = path_of((own or OWN).read_text())
    except OSError:
        return None
    if path is None:
        return None
    here = root / path
    if here.name == OTHERS:  # an earlier cluster moved this process there
        here = here.parent
    candidates = [root, here] if by_root else [here]
    return next((group for group in candidates if _usable(group)), None)


def path_of(text: str) -> str | None:
    """Return the process's version 2 path in ``/proc/PID/cgroup``'s text; None beside any version 1. Pure.

    Slurm's plugin for version 2 refuses such a mixture.
    """
    lines = text.splitlines()
    if len(lines) != 1 or not lines[0].startswith("0::/") or lines[0].startswith("0::/.."):
        return None
    return lines[0].removeprefix("0::/")


def _usable(group: Path) -> bool:
    try:
        offered = (group / "cgroup.controllers").read_text().split()
    except OSError:
        return False
    needed = (group, group / "cgroup.procs", group / "cgroup.subtree_control")
    return set(CONTROLLERS) <= set(offered) and all(os.access(path, os.W_OK) for path in needed)


def own_v1(controller: str) -> Path:
    """Return this process's group of version 1, whose limits also apply to its children."""
    for line in OWN.read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            group = ROOT / names / path.lstrip("/")
            return group if group.is_dir() else ROOT / controller  # a container sees its own group as the top
    return ROOT / controller


def hand_out(group: Path) -> None:
    """Enable the controllers for groups below ``group``, after moving its processes to another group."""

    def handed_out() -> bool:
        try:
            (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))
        except OSError as problem:
            if problem.errno != errno.EBUSY:
                raise
            others = group / OTHERS
            others.mkdir(exist_ok=True)
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):  # the process has ended meanwhile
                    (others / "cgroup.procs").write_text(pid)
            return False
        return True

    wait_until(handed_out, f"the processes in {group} to move aside", seconds=5, every=0.02)


# ---- one group ---------------------------------------------------------------------------------


class Group:
    """A control group. ``paths`` are its folders, one for each hierarchy it is in."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(dict.fromkeys(paths))

    @property
    def procs(self) -> tuple[Path, ...]:
        """The files to write a process id to, to put the process into the group."""
        return tuple(path / "cgroup.procs" for path in self.paths)

    def make(self) -> None:
        for path in self.paths:
            path.mkdir()

    def below(self, name: str) -> Group:
        return Group([path / name for path in self.paths])

    def limit(self, *, memory_mib: int, tasks: int) -> None:
        """Limit all processes in the group together; a limit is skipped where the kernel has no file for it."""
        values = {
            "memory.max": memory_mib * MIB,
            "memory.swap.max": 0,
            "memory.limit_in_bytes": memory_mib * MIB,
            "memory.memsw.limit_in_bytes": memory_mib * MIB,
            "pids.max": tasks,
        }
        for path in self.paths:
            for name, value in values.items():
                if not (path / name).exists():
                    continue
                try:
                    (path / name).write_text(str(value))
                except OSError:
                    if name in LIMIT_FILES:  # the swap limit may fail where swap is not accounted
                        raise

    def add(self, pid: int) -> None:
        for path in self.procs:
            path.write_text(str(pid))

    def memory_kills(self) -> int:
        """Return how many of the group's processes the kernel has killed for their memory."""
        files = (path / name for path in self.paths for name in ("memory.events", "memory.oom_control"))
        return sum(_count(path, "oom_kill") for path in files)

    def remove(self) -> bool:
        """Remove the group and those below it that are empty; returns whether all are removed."""
        for path in self.paths:
            for folder, _, _ in os.walk(path, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        return not any(path.exists() for path in self.paths)

    def remove_soon(self) -> None:
        """Remove the group when its processes have ended. Raises DeadlineExceeded."""
        wait_until(self.remove, f"the cgroup {self.paths[0]} to empty", seconds=10, every=0.02)


def _count(path: Path, name: str) -> int:
    try:
        words = path.read_text().split()
    except OSError:
        return 0
    return int(words[words.index(name) + 1]) if name in words else 0


def sweep(parents: Sequence[Path]) -> None:
    """Remove the groups of processes that were killed. Processes in them ended with their namespaces."""
    for parent in parents:
        for path in parent.glob("hpclab-*"):
            found = NAME.fullmatch(path.name)
            if found and not Path("/proc", found[1]).exists():
                Group([path]).remove()


# ---- around a plain sandbox --------------------------------------------------------------------


def plain_group(root: Path = ROOT, own: Path = OWN) -> Group | None:
    """Create a group for one plain sandbox where this user can do so without moving any process; else return None."""
    made: list[Path] = []
    for parent in plain_parents(root, own):
        path = parent / f"hpclab-sandbox-{os.getpid()}-{secrets.token_hex(4)}"
        with contextlib.suppress(OSError):
            path.mkdir()
            made.append(path)
    useful = [path for path in made if any((path / file).exists() for file in LIMIT_FILES)]
    Group([path for path in made if path not in useful]).remove()
    return Group(useful) if useful else None


def plain_parents(root: Path = ROOT, own: Path = OWN) -> list[Path]:
    """Return the parents of new groups: memory and pids of version 1, this process's place in version 2."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    parents = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if set(controllers.split(",")) & set(CONTROLLERS):
            parents.append(root / controllers / path.lstrip("/"))
        elif not controllers and path != "/" and (root / "cgroup.controllers").exists():
            # A group with processes can't enable controllers, so the new one is a sibling.
            parents.append((root / path.lstrip("/")).parent)
    return parents


# ---- around an isolated cluster ----------------------------------------------------------------


class CgroupScope(msgspec.Struct, frozen=True, kw_only=True):
    """The groups around an isolated cluster: one for ``all`` of it, and below that one for the ``learner``.

    The learner's has the limits of one submission; the other adds those of the daemons, so that a learner who
    reaches a limit takes nothing from the daemons that keep records. Without groups, the agent counts, and the
    kernel's process limit applies to the learner's account as elsewhere.
    """

    all: tuple[Path, ...] = ()  # files to write a process id to
    learner: tuple[Path, ...] = ()  # the same, for the learner
    enforced_by: str
    folders: tuple[Path, ...] = ()  # the learner's group

    def memory_kills(self) -> int:
        """Return how many of the learner's processes the kernel has killed for their memory."""
        return Group(self.folders).memory_kills()


def scope_version(*, by_root: bool) -> str:
    """Return "v1", "v2" or "none": the groups that an isolated cluster started by this user can have."""
    found = version(by_root=by_root)
    if found == "v1" and not all(os.access(own_v1(name) / "cgroup.procs", os.W_OK) for name in CONTROLLERS):
        return "none"
    return found


@contextmanager
def scope(version: str, top: Path | None, limits: IsolationLimits) -> Iterator[CgroupScope]:
    """Create the groups of one isolated cluster, removed afterwards; ``top`` for version 2. Raises ClusterError."""
    if version == "none":
        yield CgroupScope(
            enforced_by="counted four times a second, and the kernel's limit of processes (no cgroup at hand)"
        )
        return
    parents = [top] if version == "v2" and top else [own_v1(name) for name in CONTROLLERS]
    sweep(parents)
    name = f"hpclab-isolated-{os.getpid()}-{secrets.token_hex(4)}"
    whole = Group([parent / name for parent in parents])
    try:
        yield _made(version, whole, limits)
    finally:
        whole.remove_soon()


def _made(version: str, whole: Group, limits: IsolationLimits) -> CgroupScope:
    learner, tasks = whole.below(LEARNER), limits.processes + DAEMONS_TASKS
    try:
        if version == "v2":
            hand_out(whole.paths[0].parent)
        whole.make()
        if version == "v2":
            (whole.paths[0] / "cgroup.subtree_control").write_text(
                " ".join(f"+{name}" for name in CONTROLLERS)
            )
            whole.below(MAIN).make()
        learner.make()
        whole.limit(memory_mib=limits.memory_mib + DAEMONS_MIB, tasks=tasks)
        learner.limit(memory_mib=limits.memory_mib, tasks=tasks)
    except OSError as problem:
        raise refused(problem) from None
    return CgroupScope(
        all=whole.below(MAIN).procs if version == "v2" else whole.procs,
        learner=learner.procs,
        enforced_by=f"cgroup {version}: the kernel stops what takes more memory or makes more processes",
        folders=learner.paths,
    )


def refused(problem: OSError) -> ClusterError:
    return ClusterError(f"the kernel refused a control group: {problem.filename}: {problem.strerror}")
