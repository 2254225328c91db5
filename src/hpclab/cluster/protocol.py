"""The messages to an isolated cluster's agent: first an AgentConfig, then one request after the other. Plain values."""

from __future__ import annotations

import msgspec

from hpclab.cluster.boot import Tree
from hpclab.sandbox.limits import IsolationLimits
from hpclab.sandbox.termination import Termination

# What the two say until the cluster runs.
UNSHARED, MAPPED, STARTED = "unshared", "mapped", "started"
MOUNTS = "/run/mounts"  # where the folders in memory lie that the learner may write to


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to start. Whatever a path names, it is looked up with the rights of who starts it."""

    tree: Tree  # the cluster's own folder, which is in memory too
    etc: dict[str, str]  # texts of /etc
    prefix: str  # packages to mount over /usr; empty where they are there already
    shown: list[str]  # folders of the host that are shown, read-only
    links: dict[str, str]  # links to make: where -> what it says
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
    groups: list[str]  # of the control groups around all of it, the files that processes are written to
    learner_groups: list[str]  # of those around the learner


class RunProgram(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """Run ``argv`` on a node. With it come four descriptors: stdin, stdout, stderr, and where its status goes.

    As "learner" it is under the filter and the limits; as "grader" it reads everybody's files;
    as "root" it runs beside process 1, in the network of ``node``.
    """

    who: str
    node: str
    folder: str
    argv: list[str]
    env: dict[str, str]


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag="kill"):
    """Kill all processes of ``who`` on ``node``, or everywhere if that is empty."""

    who: str
    node: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look"):
    """Say what the learner uses."""


class Watch(msgspec.Struct, frozen=True, kw_only=True, tag="watch"):
    """From now on stop all of the learner's when it takes more than it may (or no more)."""

    on: bool


Request = RunProgram | Kill | Look | Watch


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the learner uses at this moment, and which limit its processes were stopped for, if any."""

    tasks: int = 0
    memory_bytes: int = 0
    limit: Termination | None = None
    problem: str = ""  # of a request that could not be done
