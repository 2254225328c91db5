"""Commands on the cluster's machines, started from the host."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from hpclab.cluster.identity import Account
from hpclab.cluster.spec import CONTROLLER
from hpclab.shell import run

PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


def into_supervisor(pid: int, *argv: str) -> list[str]:
    """Return the command line that runs ``argv`` as the cluster's root, in the supervisor's namespaces.

    ``nsenter`` becomes id 0 of the user namespace it enters.
    """
    return [
        "nsenter",
        f"--target={pid}",
        "--user",
        "--mount",
        "--uts",
        "--ipc",
        "--pid",
        "--cgroup",
        f"--wdns={Path('/')}",
        "--",
        "env",
        "-i",
        PATH,
        "LC_ALL=C.UTF-8",
        *argv,
    ]


def into_controller(pid: int, *argv: str) -> list[str]:
    """Return the command line that runs ``argv`` as root on the controller."""
    return into_supervisor(pid, "nsenter", f"--net=/run/netns/{CONTROLLER}", *argv)


def into_node(
    pid: int, node: str, who: Account, folder: str, argv: Sequence[str], env: Sequence[str] = ()
) -> list[str]:
    """Return the command line that runs ``argv`` on ``node`` as ``who``, with a login's environment.

    ``env`` has further NAME=value settings (a terminal's type).
    """
    settings = [f"HOME={who.home}", f"USER={who.name}", f"LOGNAME={who.name}", f"SHELL={who.shell}", *env]
    return into_supervisor(
        pid, *settings, "/run/hpclab/bin/enter", node, str(who.uid), str(who.gid), folder, *argv
    )


def as_controller(
    pid: int, *argv: str, timeout: float = 60.0, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` as root on the controller."""
    return run(into_controller(pid, *argv), timeout=timeout, check=check)
