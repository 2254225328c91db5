"""The control groups of a cluster on the host: created before it starts, removed after it has stopped.

Version 1, as root: one group per node, ``/sys/fs/cgroup/CONTROLLER/hpclab-NAME/NODE``.

Version 2: below a group this user may use (``sandbox.cgroup.top``)::

    hpclab-NAME             the cluster's; owned by its root, since processes move within it
    hpclab-NAME/main        the supervisor and its daemons
    hpclab-NAME/NODE        a node, root of the node's own cgroup namespace (files/in-group)
    hpclab-NAME/NODE/init   the node's process 1 and slurmd; Slurm's jobs go beside it
    hpclab-others           processes found in a delegated group, where all groups must be ours
"""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path

from hpclab.cluster import namespace
from hpclab.cluster.identity import Identity
from hpclab.cluster.services import CGROUP_V1, cgroup_name, cgroup_v2
from hpclab.cluster.spec import LOGIN, Spec
from hpclab.errors import CommandFailed
from hpclab.sandbox import cgroup
from hpclab.shell import wait_until

MAIN = "main"
# Files that the owner of a subtree must be able to write: "Model of Delegation" in the kernel's
# cgroup-v2.rst.
DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def version(*, by_root: bool, root: Path | None = None, own: Path | None = None) -> str:
    """Return "v1", "v2" or "none": the cgroups that a cluster started by this user can have."""
    return cgroup.version(by_root=by_root, v1=CGROUP_V1, root=root, own=own)


def create(spec: Spec) -> None:
    """Create one group per node. Raises ClusterError."""
    if spec.host.cgroup == "none":
        return
    try:
        if spec.host.cgroup == "v1":
            _create_v1(spec)
        else:
            cgroup.hand_out(Path(spec.host.cgroup_top))
            for name in ("", MAIN, LOGIN, *spec.node_names):
                (cgroup_v2(spec) / name).mkdir(exist_ok=True)
    except OSError as problem:
        raise cgroup.refused(problem) from None


def _create_v1(spec: Spec) -> None:
    uid, gid = spec.identity.outside_uid(0), spec.identity.outside_gid(0)
    for controller in CGROUP_V1:
        group = cgroup.ROOT / controller / cgroup_name(spec)
        for path in (group, *(group / name for name in (LOGIN, *spec.node_names))):
            path.mkdir(exist_ok=True)
            os.chown(path, uid, gid)
            for name in ("cgroup.procs", "tasks"):
                os.chown(path / name, uid, gid)


def enter(spec: Spec, pid: int) -> None:
    """Move a process into the cluster's group, which becomes the root of its cgroup namespace."""
    if spec.host.cgroup == "v2":
        _move(pid, cgroup_v2(spec))


def delegate(spec: Spec, pid: int) -> None:
    """Move ``pid`` to the leaf once it has its namespaces, and give the groups to the cluster's root."""
    if spec.host.cgroup != "v2":
        return
    group = cgroup_v2(spec)
    _move(pid, group / MAIN)
    try:
        (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in cgroup.CONTROLLERS))
        for name in spec.node_names:
            swap = group / name / "memory.swap.max"
            if swap.exists():  # a job beyond its memory limit must not use the host's swap
                swap.write_text("0")
    except OSError as problem:
        raise cgroup.refused(problem) from None
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
        raise cgroup.refused(problem) from None


def group_name(name: str, folder: Path) -> str:
    """Return the group name of the cluster in ``folder``, distinct from other users' clusters of the same name."""
    return f"hpclab-{name}-{zlib.crc32(os.fsencode(folder)):08x}"


def remove(name: str, folder: Path, known: Spec | None) -> None:
    """Remove a cluster's groups, deepest first, once their processes have ended.

    Without its spec (an ``up`` that was killed early), look for the groups that ``create`` may have made.
    """
    if known is None or known.host.cgroup == "v1":
        group = cgroup_name(known) if known else group_name(name, folder)
        for controller in CGROUP_V1:
            _remove(cgroup.ROOT / controller / group, None)
    elif known.host.cgroup == "v2":
        _remove(cgroup_v2(known), known.identity)


def _remove(path: Path, owner: Identity | None) -> None:
    group = cgroup.Group([path])

    def emptied() -> bool:
        if owner:  # below an ordinary user's group, sub-ids own the groups
            folders = ["find", ".", "-mindepth", "1", "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]
            with contextlib.suppress(OSError, CommandFailed):
                namespace.as_root_of(owner, folders, path)
        return group.remove()

    if path.is_dir():
        wait_until(emptied, f"the cgroup {path} to empty", seconds=10, every=0.02)
