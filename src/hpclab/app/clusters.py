"""Composes a cluster's spec from a site profile and this machine, and the folders and packages it needs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from hpclab import layout, sites
from hpclab.cluster import cgroups, identity, lifecycle, visibility
from hpclab.cluster.spec import Host, Spec
from hpclab.errors import HostUnsuitable
from hpclab.packages import prefix
from hpclab.sandbox import cgroup as sandbox_cgroup

DEFAULT_NAME = "default"
DEFAULT_SITE = "perlmutter"


def site_names() -> list[str]:
    return sites.names(layout.clone_folder() / "sites")


def load_site(name: str) -> sites.Site:
    return sites.load(name, layout.clone_folder() / "sites")


def submit_settings(site: str, *, gpu: bool = True, account: str = "") -> list[str]:
    """The site's answers to Slurm's questions, as NAME=value; ``account`` instead of the profile's."""
    profile = load_site(site)
    if account:
        submit = msgspec.structs.replace(profile.submit, account=account, account_env="")
        profile = msgspec.structs.replace(profile, submit=submit)
    return [f"{key}={value}" for key, value in sites.environment(profile, os.environ, gpu=gpu).items()]


def place(progress: Callable[[str], None]) -> lifecycle.Place:
    """The packages and folders a cluster needs, fetched on the first call."""
    mine = [layout.clone_folder(), Path(sys.prefix), Path(sys.base_prefix)]
    visibility.check(mine, by_root=os.geteuid() == 0)
    _learners_folder(lab_folder())
    return lifecycle.Place(
        prefix=prefix.ensure(progress),
        venv=Path(sys.prefix),
        expose=visibility.exposures(mine),
        writable=(lab_folder(),),
    )


def _learners_folder(folder: Path) -> None:
    """Make ``folder``; started by root, it is the learner's. What is in it is never touched from here.

    Raises HostUnsuitable where root would have to give away a folder that somebody else uses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return
    who = identity.for_root(cgroup=cgroups.version(by_root=True))
    uid, gid = who.outside_uid(who.learner.uid), who.outside_gid(who.learner.gid)
    if folder.stat(follow_symlinks=False).st_uid != uid and any(folder.iterdir()):
        raise HostUnsuitable(
            f"{folder} is to become the learner's, but it holds files of somebody else",
            "Name a new or an empty folder: HPCLAB_LAB=FOLDER.",
        )
    with contextlib.suppress(OSError):  # root of a container may lack these ids: the start will say so
        os.chown(folder, uid, gid, follow_symlinks=False)


def lab_folder() -> Path:
    """The learner's working copies of the notebooks: ``HPCLAB_LAB``, or ``lab`` in the clone.

    Never overwritten, never removed.
    """
    chosen = os.environ.get("HPCLAB_LAB")
    return Path(chosen).absolute() if chosen else layout.clone_folder() / "lab"


def compose(*, name: str, site: str, nodes: int, cpus: int, gpus: int, memory: int, outbound: bool) -> Spec:
    """A spec from the command line's values and what this host offers."""
    by_root = os.geteuid() == 0
    cgroup = cgroups.version(by_root=by_root)
    who = identity.of_this_process(cgroup=cgroup)
    devices = tuple(sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*")))
    host = Host(
        memory_mib=psutil.virtual_memory().total >> 20,
        gpu_devices=devices,
        cgroup=cgroup,
        cgroup_group=cgroups.group_name(name, layout.cluster_folder(name)),
        cgroup_top=str(sandbox_cgroup.top(by_root=by_root) or ""),
        outbound=who.by_root or os.access("/dev/net/tun", os.R_OK | os.W_OK),
    )
    return Spec(
        name=name,
        site=load_site(site),
        identity=who,
        host=host,
        nodes=nodes,
        cpus_per_node=cpus,
        gpus_per_node=gpus,
        memory_mib=memory,
        outbound=outbound,
    )
