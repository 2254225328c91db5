"""The control groups of a cluster on the host: made as it starts, removed after it has stopped.

Version 1, as root: a group a node, ``/sys/fs/cgroup/CONTROLLER/hpclab-NAME/NODE``.

Version 2 has one tree, and a group that hands out controllers may hold no process itself
(https://docs.kernel.org/admin-guide/cgroup-v2.html). Below a group this user may use (``top``)::

    hpclab-NAME             the cluster's; everything in it moves within, so its root owns it
    hpclab-NAME/main        the supervisor and its daemons
    hpclab-NAME/NODE        a node, root of the node's own cgroup namespace (files/in-group)
    hpclab-NAME/NODE/init   the node's process 1 and slurmd; Slurm's jobs go beside it
    hpclab-others           where nothing but a delegated group is ours: who was in that before
"""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from pathlib import Path

from hpclab.cluster import namespace
from hpclab.cluster.identity import Identity
from hpclab.cluster.services import CGROUP_V1, cgroup_name, cgroup_v2
from hpclab.cluster.spec import LOGIN, Spec
from hpclab.errors import ClusterError, CommandFailed
from hpclab.shell import wait_until

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
MAIN = "main"
OTHERS = "hpclab-others"
# Slurm 22.05 misses the last word of cgroup.controllers, where `pids` comes after `memory`.
CONTROLLERS = ("memory", "pids")
# What the owner of a subtree must be able to write: "Model of Delegation" in the kernel's document.
DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def at_hand(*, by_root: bool, root: Path = ROOT, own: Path = OWN) -> str:
    """ "v1", "v2" or "none": which cgroups a cluster started by this user may have."""
    if top(by_root=by_root, root=root, own=own):
        return "v2"
    usable = by_root and all(os.access(root / name / "cgroup.procs", os.W_OK) for name in CGROUP_V1)
    return "v1" if usable else "none"


def top(*, by_root: bool, root: Path = ROOT, own: Path = OWN) -> Path | None:
    """The group of version 2 below which a cluster started by this user may have its own, if any.

    Root's is the root group; an ordinary user's the one this process is in, where that was
    delegated (``systemd-run --user --scope -p Delegate=yes``).
    """
    if not (root / "cgroup.controllers").is_file():
        return None
    try:
        mine = path_of(own.read_text())
    except OSError:
        mine = None
    if mine is None:
        return None
    here = root / mine
    if here.name == OTHERS:  # an earlier cluster moved us out of its way
        here = here.parent
    candidates = [root, here] if by_root else [here]
    return next((group for group in candidates if _usable(group)), None)


def path_of(text: str) -> str | None:
    """Where ``/proc/PID/cgroup``'s text places the process in version 2; None beside any version 1.

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


def create(spec: Spec) -> None:
    """One group a node. Raises ClusterError."""
    if spec.host.cgroup == "none":
        return
    try:
        if spec.host.cgroup == "v1":
            _create_v1(spec)
        else:
            hand_out(Path(spec.host.cgroup_top))
            for name in ("", MAIN, LOGIN, *spec.node_names):
                (cgroup_v2(spec) / name).mkdir(exist_ok=True)
    except OSError as problem:
        raise _refused(problem) from None


def _create_v1(spec: Spec) -> None:
    uid, gid = spec.identity.outside_uid(0), spec.identity.outside_gid(0)
    for controller in CGROUP_V1:
        group = ROOT / controller / cgroup_name(spec)
        for path in (group, *(group / name for name in (LOGIN, *spec.node_names))):
            path.mkdir(exist_ok=True)
            os.chown(path, uid, gid)
            for name in ("cgroup.procs", "tasks"):
                os.chown(path / name, uid, gid)


def _refused(problem: OSError) -> ClusterError:
    return ClusterError(f"the kernel refused a control group: {problem.filename}: {problem.strerror}")


def hand_out(group: Path) -> None:
    """Give the groups below ``group`` the controllers, moving out of it whoever is in the way."""

    def handed_out() -> bool:
        try:
            (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))
        except OSError as problem:
            if problem.errno != errno.EBUSY:
                raise
            others = group / OTHERS
            others.mkdir(exist_ok=True)
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                    (others / "cgroup.procs").write_text(pid)
            return False
        return True

    wait_until(handed_out, f"the processes in {group} to move aside", seconds=5, every=0.02)


def enter(spec: Spec, pid: int) -> None:
    """Put a process into the cluster's group, which its cgroup namespace then begins with."""
    if spec.host.cgroup == "v2":
        _move(pid, cgroup_v2(spec))


def settle(spec: Spec, pid: int) -> None:
    """Once ``pid`` has its namespaces: move it to the leaf, and give the groups to the cluster's root."""
    if spec.host.cgroup != "v2":
        return
    group = cgroup_v2(spec)
    _move(pid, group / MAIN)
    try:
        (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))
        for name in spec.node_names:
            swap = group / name / "memory.swap.max"
            if swap.exists():  # a job beyond its memory must not go on in the host's swap
                swap.write_text("0")
    except OSError as problem:
        raise _refused(problem) from None
    paths = [
        path
        for name in ("", MAIN, LOGIN, *spec.node_names)
        for path in (Path(name), *(Path(name, file) for file in DELEGATED))
    ]
    root = (
        f"{spec.identity.outside_uid(0)}:{spec.identity.outside_gid(0)}" if spec.identity.by_root else "0:0"
    )
    namespace.as_root_of(spec.identity, ["chown", root, "--", *map(str, paths)], group)


def _move(pid: int, group: Path) -> None:
    try:
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as problem:
        raise _refused(problem) from None


def group_name(name: str, folder: Path) -> str:
    """What to call the group of the cluster in ``folder``: other people's may have the same name."""
    return f"hpclab-{name}-{zlib.crc32(os.fsencode(folder)):08x}"


def remove(name: str, folder: Path, known: Spec | None) -> None:
    """Remove the groups of a cluster, deepest first, once their processes are gone.

    Without its spec (an ``up`` that was killed early), what ``create`` may have made is looked for.
    """
    if known is None or known.host.cgroup == "v1":
        group = cgroup_name(known) if known else group_name(name, folder)
        for controller in CGROUP_V1:
            _remove(ROOT / controller / group, None)
    elif known.host.cgroup == "v2":
        _remove(cgroup_v2(known), known.identity)


def _remove(group: Path, owner: Identity | None) -> None:
    def emptied() -> bool:
        try:
            if owner:  # below an ordinary user's group everything belongs to sub-ids
                folders = ["find", ".", "-mindepth", "1", "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]
                namespace.as_root_of(owner, folders, group)
            for path, _, _ in os.walk(group, topdown=False):
                Path(path).rmdir()
        except (OSError, CommandFailed):
            return False
        return True

    if group.is_dir():
        wait_until(emptied, f"the cgroup {group} to empty", seconds=10, every=0.02)
