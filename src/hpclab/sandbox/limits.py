"""How much a stranger's programs may use, and who holds them to it here.

Three holders, each where the others cannot be:

rlimits    the kernel, for one process: files, descriptors, core dumps, time; and processes of one user
watcher    the sandbox's process 1, for all of its processes together: memory and processes, some times a second
group      a control group (sandbox.groups), for all of them and what the kernel keeps for them; where there can be one

Memory that no process maps (buffers of sockets and pipes) is seen by a group alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import stat
from pathlib import Path

import msgspec

MB = 1 << 20
SLACK_MB = 256  # what a Python with everything imported maps before the stranger's first line
FILES = 1024
THREADS = 16  # beyond the limit of processes, so that the watcher sees it broken


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What one sandbox may use. MiB, counts, seconds."""

    memory_mb: int
    processes: int
    disk_mb: int  # each place
    inodes: int
    seconds: float


def set_rlimits(use: Use) -> None:
    """Hold this process, and whatever it starts, to ``use``. Twice the memory: the watcher speaks first."""
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(use.seconds * use.processes) + 10,
        resource.RLIMIT_DATA: (2 * use.memory_mb + SLACK_MB) * MB,
        resource.RLIMIT_AS: (8 * use.memory_mb + 16 * SLACK_MB) * MB,
        resource.RLIMIT_FSIZE: use.disk_mb * MB,
        resource.RLIMIT_NOFILE: FILES,
        resource.RLIMIT_NPROC: use.processes + THREADS,
        resource.RLIMIT_MEMLOCK: 8 * MB,
        resource.RLIMIT_MSGQUEUE: MB,
        resource.RLIMIT_SIGPENDING: 4096,
        resource.RLIMIT_STACK: 64 * MB,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    for kind, most in bounds.items():
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        soft = min(most, 8 * MB) if kind == resource.RLIMIT_STACK else most
        resource.setrlimit(kind, (soft, most))


# ---- the watcher -----------------------------------------------------------------------------


def broken(use: Use, proc: Path, *, but: int) -> str:
    """Which limit the processes in ``proc`` break together: "memory", "processes" or "". ``but`` is not counted."""
    tasks = mapped = 0
    pids = [entry.name for entry in os.scandir(proc) if entry.name.isdigit() and int(entry.name) != but]
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            status = (proc / pid / "status").read_text()
            tasks += _field(status, "Threads:")
            mapped += 1024 * (_field(status, "RssAnon:") + _field(status, "RssShmem:"))
    if tasks > use.processes:
        return "processes"
    kept = sum(unnamed_files(proc, pids).values())
    if mapped + kept > use.memory_mb * MB:
        # A page that a parent and its children share was counted for each; now exactly, which takes longer.
        mapped = sum(_proportional(proc / pid) for pid in pids)
    return "memory" if mapped + kept > use.memory_mb * MB else ""


def _field(status: str, name: str) -> int:
    # At the start of a line: a process may call itself "RssAnon: 0", and its name stands before.
    found = re.search(rf"^{name}\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0  # a zombie has no memory


def _proportional(process: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        rollup = (process / "smaps_rollup").read_text()
        return 1024 * (_field(rollup, "Pss_Anon:") + _field(rollup, "Pss_Shmem:"))
    return 0


def unnamed_files(proc: Path, pids: list[str]) -> dict[tuple[int, int], int]:
    """The sizes of open files in memory that have no name (memfd_create): no folder's limit counts them."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in os.scandir(proc / pid / "fd"):
                with contextlib.suppress(OSError):
                    about = entry.stat()
                    if stat.S_ISREG(about.st_mode) and not about.st_nlink:
                        found[about.st_dev, about.st_ino] = about.st_blocks * 512
    return found


def full(places: list[Path]) -> bool:
    """Whether one of these folders in memory has no room left."""
    for place in places:
        about = os.statvfs(place)
        if not about.f_bavail or not about.f_favail:
            return True
    return False


def words(*, grouped: bool) -> dict[str, str]:
    """Who holds a sandbox to each limit here, for whoever wants to know."""
    watcher = "its process 1 looks 20 times a second and stops all"
    return {
        "seconds": "its keeper, from outside; and the runner itself, so that the cell is named",
        "memory": f"a control group; and {watcher}"
        if grouped
        else f"{watcher}; twice as much for one process",
        "processes": f"a control group; and {watcher}" if grouped else f"RLIMIT_NPROC; and {watcher}",
        "disk": "every folder that can be written is in memory, with a size and a number of files",
        "output": "the runner keeps what fits; its keeper stops what comes past that",
    }
