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
    return sites.list_names(layout.clone_folder() / "sites")


def load_site(name: str) -> sites.Site:
    return sites.load(name, layout.clone_folder() / "sites")


def submit_settings(site: str, *, gpu: bool = True, account: str = "") -> list[str]:
    """The site's answers to Slurm's questions, as NAME=value; ``account`` instead of the profile's."""
    profile = load_site(site)
    if account:
        submit = msgspec.structs.replace(profile.submit, account=account, account_env="")
        profile = msgspec.structs.replace(profile, submit=submit)
    return [f"{key}={value}" for key, value in sites.environment(profile, os.environ, gpu=gpu).items()]


def prepare_host(progress: Callable[[str], None]) -> lifecycle.Place:
    """The packages and folders that a cluster needs of this machine; packages are fetched on the first call."""
    folders = [layout.clone_folder(), Path(sys.prefix), Path(sys.base_prefix)]
    visibility.check(folders, by_root=os.geteuid() == 0)
    _make_lab_folder(lab_folder())
    return lifecycle.Place(
        prefix=prefix.ensure(progress),
        venv=Path(sys.prefix),
        expose=visibility.exposures(folders),
        writable=(lab_folder(),),
    )


def _make_lab_folder(folder: Path) -> None:
    """Make ``folder``; as root, give it to the learner. Its contents are never changed from here.

    Raises HostUnsuitable where root would give away a folder with files of another user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return
    owner = identity.for_root(cgroup=cgroups.version(by_root=True))
    uid, gid = owner.outside_uid(owner.learner.uid), owner.outside_gid(owner.learner.gid)
    if folder.stat(follow_symlinks=False).st_uid != uid and any(folder.iterdir()):
        raise HostUnsuitable(
            f"{folder} would be given to the learner, but it holds files of another user",
            "Name a new or an empty folder: HPCLAB_LAB=FOLDER.",
        )
    with contextlib.suppress(OSError):  # root of a container may lack these ids: the start will say so
        os.chown(folder, uid, gid, follow_symlinks=False)


def writable_by_learner(spec: Spec, folder: Path) -> bool:
    """Whether the learner can write to this machine's ``folder`` from inside the cluster."""
    writable = (lab_folder(), Path("/tmp"), Path("/scratch"), Path(spec.identity.learner.home))
    return not spec.identity.by_root or any(folder.is_relative_to(path) for path in writable)


def lab_folder() -> Path:
    """The learner's working copies of the notebooks: ``HPCLAB_LAB``, or ``lab`` in the clone.

    Never overwritten, never removed.
    """
    folder = os.environ.get("HPCLAB_LAB")
    return Path(folder).absolute() if folder else layout.clone_folder() / "lab"


def compose(
    *, name: str, site: str, nodes: int, cpus: int, gpus: int, memory_mib: int, outbound: bool
) -> Spec:
    """A cluster's spec: these values, the site's profile, and what this machine has."""
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
        memory_mib=memory_mib,
        outbound=outbound,
    )


def compose_default(name: str) -> Spec:
    """The spec of the cluster that labs are made for."""
    return compose(name=name, site=DEFAULT_SITE, nodes=4, cpus=4, gpus=4, memory_mib=4000, outbound=True)


def start(
    spec: Spec, progress: Callable[[str], None], *, retain: bool = False, deadline_s: float = 60
) -> bool:
    """Start the cluster with all that it needs of this machine; false where it is running already.

    ``retain`` leaves a cluster that fails to start running. Raises HpclabError.
    """
    return lifecycle.up(spec, prepare_host(progress), progress, retain=retain, seconds=deadline_s)
