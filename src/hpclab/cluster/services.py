"""Values -> service directories for the supervisor, s6. Pure.

A service is a folder with a ``run`` script; s6-supervise starts it, and restarts it when it dies
(https://skarnet.org/software/s6/servicedir.html). A compute node is a service too: its ``run`` makes the node's
namespaces, in which a second s6-svscan is process 1 and supervises slurmd. ``s6-notifyoncheck`` announces
readiness and ``s6-svwait`` (``files/await``) waits for it, each with a deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hpclab.cluster import config
from hpclab.cluster.spec import CONTROLLER, LOGIN, NETWORK, Spec, address

READY_WITHIN_MS = 60_000
SCRIPT = "#!/bin/sh\n"


def controller(spec: Spec) -> dict[str, str]:
    """Return the files of the services beside the nodes: path below ``services/`` -> text."""
    files: dict[str, str] = {}
    files |= _daemon(
        "munged",
        "s6-setuidgid munge munged --foreground --force --num-threads 4"
        f" --socket {config.MUNGE_SOCKET} --key-file /run/hpclab/munge/munge.key"
        " --pid-file /run/munge/munged.pid --seed-file /run/munge/munged.seed --log-file /dev/stderr",
        before=[f"rm -f {config.MUNGE_SOCKET}"],
        check=f"test -S {config.MUNGE_SOCKET}",
    )
    files |= _daemon(
        "mariadb",
        "s6-setuidgid mysql mariadbd --no-defaults --datadir=/run/hpclab/db --skip-networking --skip-name-resolve"
        f" --socket={config.MYSQL_SOCKET} --pid-file=/run/mysqld/mariadbd.pid"
        " --innodb-buffer-pool-size=64M --innodb-log-file-size=16M --innodb-autoextend-increment=2 --performance-schema=OFF"
        # Written at each commit, flushed once a second: no commit is lost when a daemon is killed.
        " --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=2 --innodb-use-native-aio=OFF",
        before=[f"rm -f {config.MYSQL_SOCKET}"],
        check=f"test -S {config.MYSQL_SOCKET}",
    )
    files |= _daemon(
        "slurmdbd",
        "s6-setuidgid slurm slurmdbd -D",
        needs=["mariadb", "munged"],
        check=_listens(6819),
    )
    files |= _daemon(
        "slurmctld",
        "s6-setuidgid slurm slurmctld -D",
        needs=["slurmdbd"],
        before=[
            "/run/hpclab/bin/keep-job-ids",
            f"(nsenter --net=/run/netns/{CONTROLLER} /run/hpclab/bin/find-lost-jobs &)",
        ],
        check=_listens(6817),
    )
    return files


def nodes(spec: Spec) -> dict[str, str]:
    """Return the files of the login node's and the compute nodes' services, below ``services/``."""
    files: dict[str, str] = {}
    for name in (LOGIN, *spec.node_names):
        joins = [
            f"echo $$ > /sys/fs/cgroup/{controller}/{cgroup_name(spec)}/{name}/cgroup.procs"
            for controller in CGROUP_V1
            if spec.host.cgroup == "v1"
        ]
        in_group, own_view = "", " --cgroup"
        if spec.host.cgroup == "v2":
            in_group, own_view = f"/run/hpclab/bin/in-group {cgroup_v2(spec) / name} ", ""
        lines = [
            "exec >>/run/hpclab/log/" + name + ".out 2>&1",
            *joins,
            f"exec {in_group}nsenter --net=/run/netns/{name}"
            f" unshare --mount --uts --ipc --pid{own_view} --fork --kill-child --"
            f" /run/hpclab/bin/node-init {name} {address(name)}/{NETWORK.prefixlen}"
            f" {spec.memory_mib // 2}m {spec.host.cgroup}",
        ]
        files[f"{name}/run"] = SCRIPT + "\n".join(lines) + "\n"
        # Switch a node off like a machine: at once.
        files[f"{name}/down-signal"] = "SIGKILL\n"
    return files


def inside_nodes(spec: Spec) -> dict[str, str]:
    """Return the files of the services that run inside each compute node, below ``nodes/``."""
    files: dict[str, str] = {}
    for name in spec.node_names:
        files[f"{name}/slurmd/run"] = (
            SCRIPT
            + f"exec >>/run/hpclab/log/{name}.out 2>&1\n"
            + f"{_wait_for(['slurmctld'])}exec slurmd -D -N {name}\n"
        )
    return files


def outbound() -> dict[str, str]:
    """Return the service for the login node's outbound network: a user-mode one, as in rootless containers."""
    return {
        "outbound/run": SCRIPT
        + "exec >>/run/hpclab/log/outbound.log 2>&1\n"
        + _wait_for([LOGIN], up_only=True)
        + "exec slirp4netns --configure --mtu=65520 --disable-host-loopback"
        " --netns-type=path /run/netns/login tap0\n"
    }


CGROUP_V1 = ("memory", "freezer")  # task/cgroup and proctrack/cgroup


def cgroup_name(spec: Spec) -> str:
    return spec.host.cgroup_group or f"hpclab-{spec.name}"


def cgroup_v2(spec: Spec) -> Path:
    """Return the cluster's group on a host with cgroup version 2."""
    return Path(spec.host.cgroup_top, cgroup_name(spec))


def _daemon(
    name: str, command: str, *, check: str, before: list[str] | None = None, needs: list[str] | None = None
) -> Mapping[str, str]:
    lines = [
        f"exec >>/run/hpclab/log/{name}.out 2>&1",
        *(before or []),
    ]
    return {
        f"{name}/run": SCRIPT
        + _wait_for(needs or [])
        + "\n".join(lines)
        + f"\nexec nsenter --net=/run/netns/{CONTROLLER} s6-notifyoncheck -d -3 3 -w 20 -n 0 {command}\n",
        f"{name}/notification-fd": "3\n",
        f"{name}/data/check": SCRIPT + f"{check} >/dev/null 2>&1\n",
    }


def _listens(port: int) -> str:
    """Return a check that something listens on a TCP port; a Slurm command would take a hundred times as long."""
    return f"grep -q ':{port:04X} 00000000:0000 0A' /proc/net/tcp"


def _wait_for(needs: list[str], *, up_only: bool = False) -> str:
    if not needs:
        return ""
    return f"/run/hpclab/bin/await -{'u' if up_only else 'U'} {READY_WITHIN_MS} {' '.join(needs)} || exit 1\n"
