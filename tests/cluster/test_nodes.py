"""Every node is a machine of its own, and the learner is nobody special on it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hpclab.shell import wait_until

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

NODES = ["nid001", "nid002", "nid003", "nid004"]


def test_names_and_interfaces(cluster: Cluster) -> None:
    for node in ("login", *NODES):
        assert cluster.out(["hostname"], node=node) == node
        interfaces = set(cluster.out(["ls", "/sys/class/net"], node=node).split())
        # The login node's way out is there only if this machine's user may use /dev/net/tun.
        assert interfaces - ({"tap0"} if node == "login" else set()) == {"hsn0", "lo"}
    text = cluster.out("srun -C gpu -q regular -N4 sh -c 'echo $(hostname) $(ip -4 -o address show hsn0)'")
    assert {line.split()[0] for line in text.splitlines()} == set(NODES)
    addresses = {line.split()[4] for line in text.splitlines()}
    assert len(addresses) == 4 and all(one.startswith("10.77.") for one in addresses)


def test_a_node_shows_its_own_processes_only(cluster: Cluster) -> None:
    here = cluster.out(["ps", "-e", "-o", "args="], node="nid003")
    assert "slurmd -D -N nid003" in here
    assert "slurmctld" not in here and "nid002" not in here and "mariadbd" not in here
    assert cluster.out(["cat", "/proc/1/comm"], node="nid003") == "s6-svscan"
    assert len(here.splitlines()) < 30


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/var/tmp"])
def test_local_folders(cluster: Cluster, folder: str) -> None:
    """/tmp and /dev/shm are each node's own; none of them is the host's."""
    mark = f"{folder}/mark-{os.getpid()}-{cluster.name}"
    cluster.run(["sh", "-c", f"echo here >{mark}"], node="nid001")
    assert cluster.run(["cat", mark], node="nid001").stdout == "here\n"
    assert not os.path.exists(mark)  # noqa: PTH110
    if folder != "/var/tmp":
        assert cluster.run(["cat", mark], node="nid002", check=False).returncode != 0
        assert cluster.run(["cat", mark], check=False).returncode != 0


def test_slurm_reads_no_configuration_of_the_host(cluster: Cluster) -> None:
    """The host may be a Slurm node itself, with a plugstack.conf that ours must not see."""
    ours = {"slurm.conf", "gres.conf", "cgroup.conf", "mpi.conf", "slurmdbd.conf", "job_submit.lua"}
    assert set(cluster.out(["ls", "/etc/slurm"], node="nid001").split()) == ours
    assert cluster.out(["findmnt", "-n", "-o", "TARGET", "/etc/slurm"], node="nid001") == "/etc/slurm"


def test_home_and_scratch_are_everywhere(cluster: Cluster) -> None:
    cluster.run('echo shared >"$SCRATCH/everywhere"; echo mine >"$HOME/.hpclab-test"')
    try:
        for node in NODES:
            assert cluster.out('cat "$SCRATCH/everywhere" "$HOME/.hpclab-test"', node=node).split() == [
                "shared",
                "mine",
            ]
    finally:
        cluster.run('rm -f "$HOME/.hpclab-test"')


def test_nodes_reach_each_other_and_nothing_else(cluster: Cluster) -> None:
    """A TCP connection is refused by a machine that is reached, and impossible to one that is not."""
    knock = (
        "import errno, socket, sys\n"
        "s = socket.socket(); s.settimeout(5)\n"
        "print(errno.errorcode.get(s.connect_ex((sys.argv[1], int(sys.argv[2]))), 'open'))\n"
    )

    def reach(address: str, port: int, node: str) -> str:
        return cluster.out(["python3", "-c", knock, address, str(port)], node=node)

    assert reach("nid002", 6818, "nid001") == "open"
    assert reach("login", 9, "nid001") == "ECONNREFUSED"
    assert reach("192.0.2.1", 80, "nid001") == "ENETUNREACH"  # TEST-NET-1: nobody's
    assert reach("10.0.2.2", 9, "nid001") == "ENETUNREACH"  # where the login node would find the host


def test_the_hosts_loopback_is_out_of_reach(cluster: Cluster) -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        for node, address in (("nid001", "127.0.0.1"), ("login", "127.0.0.1"), ("login", "10.0.2.2")):
            try_it = f"import socket; socket.create_connection(('{address}', {port}), timeout=5)"
            assert cluster.run(["python3", "-c", try_it], node=node, check=False).returncode != 0


def test_the_login_node_has_a_way_out(cluster: Cluster) -> None:
    """Without asking the outside: there is a route, and a name server of its own."""
    if "login node only" not in cluster.hpclab("status").stdout:
        assert "tap0" not in cluster.out(["ls", "/sys/class/net"])
        pytest.skip("this machine's user may not use /dev/net/tun")
    assert "default via 10.0.2.2 dev tap0" in cluster.out(["ip", "route"])
    assert "10.0.2.3" in cluster.out(["cat", "/etc/resolv.conf"])
    assert "default" not in cluster.out(["ip", "route"], node="nid001")


@pytest.mark.parametrize(
    "program",
    ["sbatch", "srun", "sacct", "squeue", "apptainer", "python", "mpicc", "mpirun", "torchrun", "jupyter"],
)
def test_programs_on_login_and_in_jobs(cluster: Cluster, program: str) -> None:
    assert cluster.run(f"command -v {program}").stdout.startswith("/")
    assert cluster.run(f"command -v {program}", node="nid004").stdout.startswith("/")


def test_programs_run(cluster: Cluster) -> None:
    script = (
        "set -e\nmodule --version 2>&1 | grep -i 'modules based on lua'\napptainer --version\n"
        "python -c 'import torch, sys; print(torch.__version__, sys.prefix)'\nmpirun --version | head -n 1\n"
    )
    on_login = cluster.out(script)
    job = cluster.sbatch("#!/bin/bash -l\n" + script)
    cluster.wait(job)
    assert cluster.output(job) == on_login
    assert "apptainer version" in on_login and "Open MPI" in on_login


def test_module_is_there_in_a_plain_job(cluster: Cluster) -> None:
    """A job inherits the submitting shell's environment, functions too: no `bash -l` needed."""
    job = cluster.sbatch("module list 2>&1")
    cluster.wait(job)
    assert "No modules loaded" in cluster.output(job)


# ---- the learner's rights -------------------------------------------------------------------


@pytest.mark.parametrize("node", ["login", "nid001"])
def test_nobody_is_root(cluster: Cluster, node: str) -> None:
    assert cluster.out(["id", "-u"], node=node) != "0"
    status = cluster.out(["cat", "/proc/self/status"], node=node)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert f"{name}:\t0000000000000000" in status


@pytest.mark.parametrize(
    "path", ["/usr/mark", "/etc/mark", "/run/hpclab/mark", "/run/mark", "/run/hpclab/spool/mark", "/mark"]
)
def test_what_cannot_be_written(cluster: Cluster, path: str) -> None:
    done = cluster.run(["touch", path], check=False)
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr or "Permission denied" in done.stderr


@pytest.mark.parametrize(
    "path", ["/run/hpclab/munge/munge.key", "/etc/slurm/slurmdbd.conf", "/run/hpclab/db", "/run/hpclab/state"]
)
def test_what_cannot_be_read(cluster: Cluster, path: str) -> None:
    for who in ("", "student1", "instructor"):
        done = cluster.run(["ls" if path.endswith(("db", "state")) else "cat", path], user=who, check=False)
        assert done.returncode != 0
        assert "Permission denied" in done.stderr


def test_daemons_cannot_be_signalled(cluster: Cluster) -> None:
    done = cluster.run("kill -0 1; kill -0 $(pgrep -o slurmd)", node="nid001", check=False)
    assert done.stderr.count("Operation not permitted") == 2
    assert cluster.run("scontrol shutdown", check=False).returncode != 0
    assert cluster.run("scontrol update nodename=nid001 state=down reason=x", check=False).returncode != 0
    assert cluster.run("sacctmgr -i add account mine", check=False).returncode != 0


def test_a_learner_owns_what_a_job_writes(cluster: Cluster) -> None:
    job = cluster.sbatch("id -un; touch made-by-job")
    cluster.wait(job)
    me = cluster.out(["id", "-un"])
    assert cluster.output(job) == me
    assert cluster.out("stat -c %U made-by-job") == me


@pytest.mark.parametrize("who", ["student1", "student40", "instructor"])
def test_course_accounts(cluster: Cluster, who: str) -> None:
    assert cluster.out(["id", "-un"], user=who) == who
    job = cluster.sbatch("id -un", user=who)
    cluster.wait(job)
    assert cluster.out(f"cat slurm-{job}.out", user=who) == who
    assert cluster.out(f"sacct -X -n -P -a -o user -j {job}", user=who) == who


def test_status_shows_nodes_services_and_what_is_emulated(cluster: Cluster) -> None:
    def rows() -> dict[str, str]:
        lines = cluster.hpclab("status").stdout.splitlines()
        return {key: value.strip() for key, _, value in (line.partition("  ") for line in lines)}

    wait_until(lambda: rows()["nodes"] == "4 idle", "every node to be idle", seconds=60)
    assert re.fullmatch(r"ready \d+, up \d+", rows()["services"])
    emulated = not Path("/dev/nvidia0").exists()
    assert ("EMULATED" in rows()["GPUs"]) is emulated
    assert ("real ones" in rows()["GPUs"]) is not emulated
