"""The description of a cluster: plain values, checked before anything is started."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from hpclab.cluster.identity import Identity
from hpclab.errors import UsageError
from hpclab.sandbox.limits import IsolationLimits
from hpclab.sites import Site

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
MAX_NODES = 200  # a /16 network could hold more, but memory and start time would be too high
NETWORK = ipaddress.ip_network("10.77.0.0/16")
CONTROLLER = "ctl"
LOGIN = "login"


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The resources that the host offers a cluster."""

    memory_mib: int = msgspec.field(name="memory_mb")  # the stored name, from older versions
    gpu_devices: tuple[str, ...] = ()  # /dev/nvidia0, ... ; empty: GPUs are emulated
    cgroup: str = "none"  # "v1", "v2" or "none": the cgroups that can enforce memory limits
    cgroup_group: str = ""  # name of the cluster's group on the host
    cgroup_top: str = ""  # for "v2": the group on the host that holds the cluster's
    outbound: bool = True  # the login node can have outbound network access


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster. Memory in MiB."""

    name: str
    site: Site
    identity: Identity
    host: Host
    nodes: int = 4
    cpus_per_node: int = 4
    gpus_per_node: int = 4
    memory_mib: int = msgspec.field(default=4000, name="memory_mb")  # the stored name, from older versions
    outbound: bool = True
    isolation: IsolationLimits | None = None  # of a cluster for untrusted code: see isolated.py
    containers: bool = (
        False  # for such a cluster: programs may make namespaces and mounts, as image builds need
    )

    @property
    def node_names(self) -> tuple[str, ...]:
        """The compute nodes: nid001, nid002, ..."""
        return tuple(f"nid{number:03d}" for number in range(1, self.nodes + 1))

    @property
    def node_range(self) -> str:
        """The compute nodes as Slurm writes them: nid[001-004]."""
        return f"nid[001-{self.nodes:03d}]" if self.nodes > 1 else "nid001"

    @property
    def emulated_gpus(self) -> bool:
        return self.gpus_per_node > 0 and not self.host.gpu_devices

    @property
    def jobs_by_cgroup(self) -> bool:
        """Whether Slurm uses control groups for its jobs. An isolated cluster has its control groups around all of it."""
        return self.host.cgroup != "none" and self.isolation is None

    @property
    def enforces_memory(self) -> str:
        """What stops a job that uses too much memory, as text for ``status``."""
        if self.host.cgroup == "none":
            return "Slurm's own polling, every second (no cgroup at hand)"
        return f"cgroup {self.host.cgroup}: the kernel stops a job that takes more at once"


def address(host: str) -> str:
    """Return the address of a host of the cluster on its private network."""
    if host == CONTROLLER:
        return str(NETWORK[1])
    if host == LOGIN:
        return str(NETWORK[2])
    return str(NETWORK[256 + int(host.removeprefix("nid"))])


def devices_of(spec: Spec, node_index: int) -> tuple[str, ...]:
    """Return the GPU device files of one node: an even share of the host's, or emulated ones.

    With fewer real GPUs than nodes, the first nodes have one each.
    """
    real = spec.host.gpu_devices
    if spec.emulated_gpus:
        return tuple(f"/run/hpclab/gpu/gpu{number}" for number in range(spec.gpus_per_node))
    if not real or not spec.gpus_per_node:
        return ()
    share = min(spec.gpus_per_node, max(1, len(real) // spec.nodes))
    return real[node_index * share : (node_index + 1) * share]


def check_name(name: str) -> str:
    """Return ``name`` if it is a valid cluster name. Raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a cluster",
            "Use 1 to 31 lower-case letters, digits and hyphens, starting with a letter or digit.",
        )
    return name


def check(spec: Spec) -> Spec:
    """Return ``spec`` if it can be started. Raises UsageError that names the valid values."""
    check_name(spec.name)
    limits = {
        "--nodes": (spec.nodes, 1, MAX_NODES),
        "--cpus-per-node": (spec.cpus_per_node, 1, 256),
        "--gpus-per-node": (spec.gpus_per_node, 0, 16),
        "--memory-per-node": (spec.memory_mib, 256, 4_000_000),
    }
    for option, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise UsageError(f"{option} {value} is out of range", f"Valid: {low} to {high}.")
    if spec.site.cluster is None:
        raise UsageError(
            f"site {spec.site.name!r} has no [cluster] part, so it cannot be imitated",
            "Take another --site, or add a [cluster] part to its profile.",
        )
    return spec
