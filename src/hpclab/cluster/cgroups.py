"""The cgroups of a cluster on the host: made before it starts, removed after it has stopped.

Only where the host lets us: as root, on version 1, under ``/sys/fs/cgroup/CONTROLLER``.
"""

from __future__ import annotations

import os
from pathlib import Path

from hpclab.cluster.services import CGROUP_V1, cgroup_name
from hpclab.cluster.spec import LOGIN, Spec
from hpclab.shell import wait_until

ROOT = Path("/sys/fs/cgroup")


def at_hand(*, by_root: bool, root: Path = ROOT) -> str:
    """ "v1" or "none": which cgroups a cluster started by this user may have."""
    usable = by_root and all(os.access(root / name / "cgroup.procs", os.W_OK) for name in CGROUP_V1)
    return "v1" if usable else "none"


def create(spec: Spec) -> None:
    """One group a node, given to the cluster's root."""
    if spec.host.cgroup != "v1":
        return
    uid, gid = spec.identity.outside_uid(0), spec.identity.outside_gid(0)
    for controller in CGROUP_V1:
        top = ROOT / controller / cgroup_name(spec)
        for path in (top, *(top / name for name in (LOGIN, *spec.node_names))):
            path.mkdir(exist_ok=True)
            os.chown(path, uid, gid)
            for name in ("cgroup.procs", "tasks"):
                os.chown(path / name, uid, gid)


def remove(name: str) -> None:
    """Remove the groups of the cluster ``name``, deepest first, once their processes are gone."""
    for controller in CGROUP_V1:
        top = ROOT / controller / f"hpclab-{name}"

        def emptied(top: Path = top) -> bool:
            folders = [Path(path) for path, _, _ in os.walk(top, topdown=False)]
            for folder in folders:
                try:
                    folder.rmdir()
                except OSError:
                    return False
            return True

        if top.is_dir():
            wait_until(emptied, f"the cgroup {top} to empty", seconds=10, every=0.02)
