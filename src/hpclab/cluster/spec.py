"""What a cluster is: plain values, checked before anything is started."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from hpclab.cluster.identity import Identity
from hpclab.errors import UsageError
from hpclab.sandbox.limits import IsolationLimits
from hpclab.sites import Site

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
MAX_NODES = 200  # a /16 would hold more; memory and patience would not
NETWORK = ipaddress.ip_network("10.77.0.0/16")
CONTROLLER = "ctl"
LOGIN = "login"


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What the host offers a cluster."""

    memory_mib: int = msgspec.field(name="memory_mb")  # as stored by older versions
    gpu_devices: tuple[str, ...] = ()  # /dev/nvidia0, ... ; empty: GPUs are emulated
    cgroup: str = "none"  # "v1", "v2" or "none": who can enforce memory limits
    cgroup_group: str = ""  # what the cluster's group on the host is called
    cgroup_top: str = ""  # for "v2": the group on the host below which the cluster has its own
    outbound: bool = True  # the login node may get a network of its own to the outside


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster. Memory in MiB."""

    name: str
    site: Site
    identity: Identity
    host: Host
    nodes: int = 4
    cpus_per_node: int = 4
    gpus_per_node: int = 4
    memory_mib: int = msgspec.field(default=4000, name="memory_mb")  # likewise
    outbound: bool = True
    isolation: IsolationLimits | None = None  # of a cluster for untrusted code alone: see isolated.py
    containers: bool = (
        False  # of such a cluster: programs may make namespaces and mounts, which building an image takes
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
        """Whether Slurm has control groups for its jobs. Those of an isolated cluster are around all of it."""
        return self.host.cgroup != "none" and self.isolation is None

    @property
    def enforces_memory(self) -> str:
        """Who stops a job that takes too much memory, in words for ``status``."""
        if self.host.cgroup == "none":
            return "Slurm's own polling, every second (no cgroup at hand)"
        return f"cgroup {self.host.cgroup}: the kernel stops a job that takes more at once"


def address(host: str) -> str:
    """The address of a host of the cluster on its private network."""
    if host == CONTROLLER:
        return str(NETWORK[1])
    if host == LOGIN:
        return str(NETWORK[2])
    return str(NETWORK[256 + int(host.removeprefix("nid"))])


def devices_of(spec: Spec, node_index: int) -> tuple[str, ...]:
    """The GPU device files of one node: a fair share of the host's, or emulated ones.

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
    """``name`` if a cluster may be called so. Raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a cluster",
            "Use 1 to 31 lower-case letters, digits and hyphens, starting with a letter or digit.",
        )
    return name


def check(spec: Spec) -> Spec:
    """``spec`` if it can be started. Raises UsageError that names the valid values."""
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
