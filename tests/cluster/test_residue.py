"""Ten times up and down, and the machine is as it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

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


def namespaces(pids: Iterable[int] | None = None) -> dict[str, str]:
    """The namespaces that ``pids`` (or all processes) are in, each with a path that leads to it."""
    found = {}
    for pid in psutil.pids() if pids is None else pids:
        for kind in KINDS:
            path = f"/proc/{pid}/ns/{kind}"
            with contextlib.suppress(OSError):
                found[os.readlink(path)] = path  # noqa: PTH115
    return found


@contextlib.contextmanager
def held(paths: Iterable[str]) -> Iterator[None]:
    """Keep the namespaces at ``paths``, so that the kernel gives their numbers to no other."""
    with contextlib.ExitStack() as stack:
        for path in paths:
            with contextlib.suppress(OSError):
                stack.enter_context(open(path))  # noqa: PTH123
        yield


def of_the_host() -> dict[str, set[str]]:
    """What a cluster could leave behind, that no other program of this machine touches."""
    tables = {"mounts": Path("/proc/self/mountinfo"), "shared memory": Path("/proc/sysvipc/shm")}
    found = {name: set(path.read_text().splitlines()) for name, path in tables.items() if path.exists()}
    found["interfaces"] = set(os.listdir("/sys/class/net"))  # noqa: PTH208
    return found


def files(cluster: Cluster) -> set[str]:
    """Names in the folders where a cluster could leave one; in shared folders only what is ours by name."""
    found = set()
    for folder in filter(Path.is_dir, map(Path, WATCHED)):
        for path in folder.iterdir():
            ours = cluster.name in path.name or ("hpclab" in path.name and "hpclab-tests" not in path.name)
            if ours or str(folder) in ("/", "/dev", "/scratch"):
                found.add(str(path))
    return found


def cgroups(cluster: Cluster) -> list[str]:
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if f"hpclab-{cluster.name}" in path]


def ports(pids: set[int]) -> list[object]:
    """What these processes listen on, in the host's own network."""
    own = os.readlink("/proc/self/ns/net")  # noqa: PTH115
    mine = {pid for pid in pids if own in namespaces([pid])}
    return [one.laddr for one in psutil.net_connections("inet") if one.pid in mine and one.status == "LISTEN"]


@pytest.mark.alone
def test_ten_cycles_leave_nothing(stopped: Cluster) -> None:
    host, files_before = of_the_host(), files(stopped)
    known = namespaces()
    with held(known.values()):  # else ours could get the number of one that ends in the meantime
        cycles(stopped, host, known)
    assert files(stopped) == files_before
    clusters = stopped.state / "clusters"
    assert sorted(path.name for path in clusters.iterdir()) == [f".{stopped.name}.lock", stopped.name]
    stopped.down()
    assert list(clusters.iterdir()) == []
    assert [path.name for path in stopped.state.iterdir()] == ["clusters"]


def cycles(stopped: Cluster, host: dict[str, set[str]], known: dict[str, str]) -> None:
    for cycle in range(10):
        stopped.up("--nodes", "1" if cycle else "4")
        processes = stopped.processes()
        made = {
            name: path for name, path in namespaces(one.pid for one in processes).items() if name not in known
        }
        assert len(made) > 10, "the test looks at the wrong processes"
        assert of_the_host() == host, "a running cluster shows on the host"
        assert ports({process.pid for process in processes}) == [], "a cluster listens in the host's network"
        if cycle % 3 == 0:
            job = stopped.sbatch("srun sleep 600")
            stopped.wait(job, "RUNNING")
            processes += [process for process in stopped.processes() if process not in processes]
        with held(made.values()):
            stopped.hpclab("down", "--force")
            _, alive = psutil.wait_procs(processes, timeout=5)
            assert alive == [], f"cycle {cycle}"
            assert set(namespaces()) & set(made) == set(), f"cycle {cycle}"
        assert of_the_host() == host, f"cycle {cycle}"
        assert cgroups(stopped) == [], f"cycle {cycle}"
