"""The limits of a sandbox's programs, and what enforces them.

Three mechanisms complement each other:

rlimits    the kernel, for one process: files, descriptors, core dumps, time; and processes of one user
watcher    the sandbox's process 1 or its agent, for all processes together: memory and processes
(sandbox.usage)
cgroup     a control group (sandbox.cgroup), for all processes and the kernel memory they use; where available
"""

from __future__ import annotations

import resource

import msgspec

from hpclab.sandbox.termination import Termination
from hpclab.sandbox.usage import SandboxUsage

MIB = 1 << 20
SLACK_MIB = 256  # memory that a Python with all modules imported maps before the first cell
FILES = 1024
THREADS = 16  # beyond the limit of processes, so that the watcher sees it exceeded


class IsolationLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The resources that the programs of one sandbox may use together."""

    seconds: float  # for all of the learner's cells together
    memory_mib: int
    processes: int  # threads count too
    disk_mib: int  # of each writable folder; on a cluster, of each node's folders
    inodes: int  # the same, for the number of files
    jobs: int = 200  # in a cluster's queue at one time


def set_rlimits(limits: IsolationLimits) -> None:
    """Limit this process and its children. Memory is limited to twice the amount: the watcher stops all of them earlier."""
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(limits.seconds * limits.processes) + 10,
        resource.RLIMIT_DATA: (2 * limits.memory_mib + SLACK_MIB) * MIB,
        resource.RLIMIT_AS: (8 * limits.memory_mib + 16 * SLACK_MIB) * MIB,
        resource.RLIMIT_FSIZE: limits.disk_mib * MIB,
        resource.RLIMIT_NOFILE: FILES,
        resource.RLIMIT_NPROC: limits.processes + THREADS,
        resource.RLIMIT_MEMLOCK: 8 * MIB,
        resource.RLIMIT_MSGQUEUE: MIB,
        resource.RLIMIT_SIGPENDING: 4096,
        resource.RLIMIT_STACK: 64 * MIB,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    for which, most in bounds.items():
        set_rlimit(which, most, soft=8 * MIB if which == resource.RLIMIT_STACK else None)


def set_rlimit(which: int, most: int, *, soft: int | None = None) -> None:
    """Lower one limit of this process to ``most``, or to its present hard limit if that is lower."""
    hard = resource.getrlimit(which)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most if soft is None else min(most, soft), most))


def exceeded(limits: IsolationLimits, usage: SandboxUsage) -> Termination | None:
    """Return the limit that a sandbox's processes exceed together. Pure."""
    if usage.tasks + usage.zombies > limits.processes:
        return Termination.PROCESSES
    return Termination.MEMORY if usage.memory_bytes > limits.memory_mib * MIB else None
