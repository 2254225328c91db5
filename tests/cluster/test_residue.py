"""Ten times up and down, and the machine is as it was."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

KINDS = ("mnt", "net", "pid", "user", "uts", "ipc", "cgroup")
WATCHED = (
    "/",
    "/tmp",
    "/var/tmp",
    "/run",
    "/dev",
    "/dev/shm",
    "/etc",
    "/run/netns",
    "/var/run",
    "/dev/net",
    "/scratch",
)


def namespaces(pids: Iterable[int] | None = None) -> set[str]:
    """The namespaces that ``pids`` (or all processes) are in."""
    found = set()
    for pid in psutil.pids() if pids is None else pids:
        for kind in KINDS:
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))  # noqa: PTH115
            except OSError:
                continue
    return found


def of_the_host() -> dict[str, set[str]]:
    """What a cluster could leave behind, that no other program of this machine touches."""
    tables = {"mounts": Path("/proc/self/mountinfo"), "shared memory": Path("/proc/sysvipc/shm")}
    found = {name: set(path.read_text().splitlines()) for name, path in tables.items() if path.exists()}
    found["interfaces"] = set(os.listdir("/sys/class/net"))  # noqa: PTH208
    return found


def files(cluster: Cluster) -> set[str]:
    """Names in the folders where a cluster could leave one; in shared folders only what is ours by name."""
    found = set()
    for folder in WATCHED:
        if Path(folder).is_dir():
            for path in Path(folder).iterdir():
                if "hpclab" in path.name or cluster.name in path.name or folder in ("/", "/dev", "/scratch"):
                    found.add(str(path))
    return found


def cgroups(cluster: Cluster) -> list[str]:
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if f"hpclab-{cluster.name}" in path]


def ports(pids: set[int]) -> list[object]:
    """What these processes listen on, in the host's own network."""
    own = os.readlink("/proc/self/ns/net")  # noqa: PTH115
    mine = {pid for pid in pids if f"/proc/{pid}/ns/net" and namespaces([pid]) & {own}}
    return [one.laddr for one in psutil.net_connections("inet") if one.pid in mine and one.status == "LISTEN"]


def test_ten_cycles_leave_nothing(stopped: Cluster) -> None:
    host, files_before = of_the_host(), files(stopped)
    known_namespaces = namespaces()
    for cycle in range(10):
        stopped.up("--nodes", "2")
        processes = stopped.processes()
        made = namespaces(process.pid for process in processes) - known_namespaces
        assert len(made) > 10, "the test looks at the wrong processes"
        assert of_the_host() == host, "a running cluster shows on the host"
        assert ports({process.pid for process in processes}) == [], "a cluster listens in the host's network"
        job = stopped.sbatch("srun sleep 600 & srun --mpi=pmix sleep 600 & wait", "-N2", "--ntasks=2")
        stopped.wait(job, "RUNNING")
        processes += [process for process in stopped.processes() if process not in processes]
        stopped.hpclab("down", "--force")
        _, alive = psutil.wait_procs(processes, timeout=5)
        assert alive == [], f"cycle {cycle}"
        assert namespaces() & made == set(), f"cycle {cycle}"
        assert of_the_host() == host, f"cycle {cycle}"
        assert cgroups(stopped) == [], f"cycle {cycle}"
    assert files(stopped) == files_before
    assert sorted(path.name for path in (stopped.state / "clusters").iterdir()) == [
        f".{stopped.name}.lock",
        stopped.name,
    ]
    stopped.down()
    assert sorted(path.name for path in (stopped.state / "clusters").iterdir()) == [f".{stopped.name}.lock"]
    assert os.listdir(stopped.state) == ["clusters"]  # noqa: PTH208
