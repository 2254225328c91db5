"""The same cluster, started by a user without any rights: the learner keeps the own name and files.

Root makes such a user for these tests and removes it afterwards; anybody else is one.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

HELLO = """
import ctypes, socket
mpi = ctypes.CDLL("libmpi.so.40", mode=ctypes.RTLD_GLOBAL)
world = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(mpi, "ompi_mpi_comm_world")))
size = ctypes.c_int()
mpi.MPI_Init(None, None)
mpi.MPI_Comm_size(world, ctypes.byref(size))
mpi.MPI_Barrier(world)
print("size", size.value, socket.gethostname(), flush=True)
mpi.MPI_Finalize()
"""


@pytest.fixture(scope="module")
def account(ordinary: Cluster) -> pwd.struct_passwd:
    return pwd.getpwuid(ordinary.person.home.stat().st_uid)


def test_nothing_of_it_is_roots(ordinary: Cluster, account: pwd.struct_passwd) -> None:
    ids = {process.uids().real for process in ordinary.processes()}
    assert 0 not in ids
    own = [line.split(":") for line in Path("/etc/subuid").read_text().splitlines()]
    ranges = [range(int(row[1]), int(row[1]) + int(row[2])) for row in own if row[0] == account.pw_name]
    assert all(one == account.pw_uid or any(one in numbers for numbers in ranges) for one in ids)


def test_the_learner_keeps_name_and_number(ordinary: Cluster, account: pwd.struct_passwd) -> None:
    assert ordinary.out(["id", "-un"]) == account.pw_name
    assert ordinary.out(["id", "-u"]) == str(account.pw_uid)
    assert ordinary.out(["sh", "-c", "echo ~"]) == account.pw_dir
    assert ordinary.out(["id", "-un"], user="student1") == "student1"


def test_files_are_the_own(ordinary: Cluster, account: pwd.struct_passwd) -> None:
    """What a job writes at home lies in the user's real home, and belongs to the user."""
    name = f"from-job-{os.getpid()}"
    job = ordinary.sbatch(f'echo "$(hostname)" >"$HOME/{name}"')
    ordinary.wait(job)
    written = ordinary.person.home / name
    try:
        assert written.read_text() == "nid001\n"
        assert (written.stat().st_uid, written.stat().st_gid) == (account.pw_uid, account.pw_gid)
    finally:
        written.unlink(missing_ok=True)


def test_other_peoples_files_stay_closed(ordinary: Cluster) -> None:
    assert ordinary.run(["cat", "/etc/slurm/slurmdbd.conf"], check=False).returncode != 0
    assert ordinary.run(["touch", "/usr/mark"], check=False).returncode != 0
    secret = ordinary.person.home / f"secret-{os.getpid()}"
    ordinary.run(["sh", "-c", f"umask 077; echo mine >~/{secret.name}"])
    try:
        assert ordinary.run(["cat", str(secret)], user="student1", check=False).returncode != 0
        assert ordinary.out(["cat", str(secret)]) == "mine"
    finally:
        secret.unlink()


def test_srun(ordinary: Cluster) -> None:
    text = ordinary.out("srun -C gpu -q regular -t 1 -N4 hostname")
    assert sorted(text.split()) == ["nid001", "nid002", "nid003", "nid004"]


def test_mpi_across_nodes(ordinary: Cluster) -> None:
    ordinary.write("hello.py", HELLO)
    rows = ordinary.out("srun -C gpu -q regular -t 2 -N4 --mpi=pmix python3 hello.py").splitlines()
    assert sorted(rows) == [f"size 4 nid00{number}" for number in (1, 2, 3, 4)]


def test_gpus(ordinary: Cluster) -> None:
    assert ordinary.out("srun -C gpu -q regular -t 1 --gpus=2 sh -c 'echo $CUDA_VISIBLE_DEVICES'") == "0,1"


def test_too_much_memory(ordinary: Cluster) -> None:
    """Stopped by Slurm's polling, unless this user was given a cgroup to hand on."""
    ordinary.write(
        "greedy.py",
        "import time\ntaken = []\nfor _ in range(60):\n    taken.append(bytearray(b'x') * (10 << 20))\n"
        "    time.sleep(0.05)\ntime.sleep(200)\n",
    )
    job = ordinary.sbatch("srun --ntasks=1 python3 greedy.py", "--mem=200")
    ordinary.wait(job, ("OUT_OF_MEMORY", "CANCELLED", "FAILED"), seconds=60)
    by_polling = "polling" in ordinary.hpclab("status").stdout
    says = "exceeded memory limit" if by_polling else "oom-kill"
    assert says in ordinary.output(job).lower(), ordinary.story(job)


def test_doctor_is_content(ordinary: Cluster) -> None:
    argv = ordinary.person.command("doctor", state=ordinary.state)
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd="/", check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "fail" not in said.stdout


def test_down_leaves_nothing(ordinary: Cluster) -> None:
    """The last test of this file: it stops the cluster."""
    processes = ordinary.processes()
    ordinary.down("--force")
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []
    ordinary.down("--purge")
    assert not ordinary.folder.exists()
    assert list(ordinary.folder.parent.iterdir()) == []
