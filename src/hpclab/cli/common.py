"""What several commands share: options, progress, and how a cluster's spec is composed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
import psutil
from rich.console import Console

from hpclab import layout, sites
from hpclab.cluster import cgroups, identity, lifecycle, visibility
from hpclab.cluster.spec import Host, Spec
from hpclab.errors import HostUnsuitable
from hpclab.packages import prefix

DEFAULT_NAME = "default"
DEFAULT_SITE = "perlmutter"
console = Console(stderr=True, highlight=False)


def complete_cluster(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in lifecycle.names() if name.startswith(incomplete)]


def name_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--name``: which cluster."""
    return click.option(
        "--name",
        default=DEFAULT_NAME,
        envvar="HPCLAB_CLUSTER",
        show_default=True,
        shell_complete=complete_cluster,
        help="Which cluster; several run side by side.",
    )(function)


def site_names() -> list[str]:
    return sites.names(layout.course() / "sites")


def load_site(name: str) -> sites.Site:
    return sites.load(name, layout.course() / "sites")


def submit_settings(site: str, *, gpu: bool = True, account: str = "") -> list[str]:
    """The site's answers to Slurm's questions, as NAME=value; ``account`` instead of the profile's."""
    profile = load_site(site)
    if account:
        submit = msgspec.structs.replace(profile.submit, account=account, account_env="")
        profile = msgspec.structs.replace(profile, submit=submit)
    return [f"{key}={value}" for key, value in sites.environment(profile, os.environ, gpu=gpu).items()]


def place(progress: Callable[[str], None]) -> lifecycle.Place:
    """The packages and folders a cluster needs, fetched on the first call."""
    mine = [layout.course(), Path(sys.prefix), Path(sys.base_prefix)]
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
    who = identity.for_root(cgroup=cgroups.at_hand(by_root=True))
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
    return Path(chosen).absolute() if chosen else layout.course() / "lab"


def compose(*, name: str, site: str, nodes: int, cpus: int, gpus: int, memory: int, outbound: bool) -> Spec:
    """A spec from the command line's values and what this host offers."""
    by_root = os.geteuid() == 0
    cgroup = cgroups.at_hand(by_root=by_root)
    who = identity.of_this_process(cgroup=cgroup)
    devices = tuple(sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*")))
    host = Host(
        memory_mb=psutil.virtual_memory().total >> 20,
        gpu_devices=devices,
        cgroup=cgroup,
        cgroup_group=cgroups.group_name(name, layout.cluster_folder(name)),
        cgroup_top=str(cgroups.top(by_root=by_root) or ""),
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
        memory_mb=memory,
        outbound=outbound,
    )


def ensure_up(spec: Spec, *, retain: bool = False, seconds: float = 60) -> bool:
    """Bring the cluster up with progress shown; true when it was started now."""
    with progress_line("starting") as progress:
        return lifecycle.up(spec, place(progress), progress, retain=retain, seconds=seconds)


@contextmanager
def progress_line(first: str) -> Iterator[Callable[[str], None]]:
    """A spinner with the step at hand; in a log file, one line a step."""
    with console.status(f"{first} …") as line:

        def progress(text: str) -> None:
            line.update(f"{text} …")
            if not console.is_terminal:
                console.print(text)

        yield progress
