"""Messages to an isolated cluster's agent: an AgentConfig first, then one request after the other. Plain values."""

from __future__ import annotations

import msgspec

from hpclab.cluster.boot import Tree
from hpclab.sandbox.limits import IsolationLimits
from hpclab.sandbox.termination import Termination

# Messages of client and agent while the cluster starts.
UNSHARED, MAPPED, STARTED = "unshared", "mapped", "started"
MOUNTS = "/run/mounts"  # where the folders in memory are mounted that the learner may write to


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of the agent. Paths are opened with the rights of the user who starts it."""

    tree: Tree  # the cluster's own folder, which is in memory too
    etc: dict[str, str]  # file name -> text, in /etc
    prefix: str  # packages to mount over /usr; empty where /usr has them already
    shown: list[str]  # host folders that are visible, read-only
    links: dict[str, str]  # symbolic links to make: path -> target
    database: str  # archive to start the database from; empty: none
    network: list[tuple[str, str]]  # (network namespace, batch for ip(8)) in order
    nodes: dict[str, str]  # node -> its address with the network's bits
    hostname: str
    run_owners: dict[str, int]  # folders below /run -> uid
    command: list[str]  # becomes process 1
    learner: tuple[int, int]  # uid and gid
    grader: tuple[int, int]
    ours: list[int]  # ids that are not the learner's; all others are
    limits: IsolationLimits
    containers: bool
    by_root: bool
    groups: list[str]  # cgroup.procs files of the control groups around the whole cluster
    learner_groups: list[str]  # the same, around the learner


class RunProgram(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """Run ``argv`` on a node. Comes with four descriptors: stdin, stdout, stderr, and one to write its status to.

    As "learner" it runs under the filter and the limits; as "grader" it can read all files; as "root" it runs
    beside process 1, in the network of ``node``.
    """

    who: str
    node: str
    folder: str
    argv: list[str]
    env: dict[str, str]


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag="kill"):
    """Kill all processes of ``who`` on ``node``, or on all nodes if that is empty."""

    who: str
    node: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look"):
    """Report what the learner uses."""


class Watch(msgspec.Struct, frozen=True, kw_only=True, tag="watch"):
    """Start or stop killing the learner's processes when they exceed their limits."""

    on: bool


Request = RunProgram | Kill | Look | Watch


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the learner uses now, and the limit for which its processes were stopped, if any."""

    tasks: int = 0
    memory_bytes: int = 0
    limit: Termination | None = None
    problem: str = ""  # error message of a request that failed
