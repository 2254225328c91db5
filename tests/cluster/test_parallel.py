"""Programs that run on several nodes at once: MPI over PMIx, torchrun over gloo."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

# Through the library itself, since a compiler may be missing and mpi4py is no part of the course.
# The handles are symbols of Open MPI 4.
MPI = """
import ctypes, socket
mpi = ctypes.CDLL("libmpi.so.40", mode=ctypes.RTLD_GLOBAL)
def handle(name):
    return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(mpi, name)))
mpi.MPI_Init(None, None)
world, rank, size = handle("ompi_mpi_comm_world"), ctypes.c_int(), ctypes.c_int()
mpi.MPI_Comm_rank(world, ctypes.byref(rank))
mpi.MPI_Comm_size(world, ctypes.byref(size))
own, total = ctypes.c_int(rank.value + 1), ctypes.c_int()
integer, add = handle("ompi_mpi_int"), handle("ompi_mpi_op_sum")
mpi.MPI_Allreduce(ctypes.byref(own), ctypes.byref(total), 1, integer, add, world)
print("rank", rank.value, "of", size.value, "sum", total.value, "on", socket.gethostname(), flush=True)
mpi.MPI_Finalize()
"""

COMPILED = r"""
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
    int rank, total;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Allreduce(&rank, &total, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    printf("sum %d\n", total);
    return MPI_Finalize();
}
"""

TORCH = """
import os, socket
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
one = torch.ones(4) * (dist.get_rank() + 1)
dist.all_reduce(one)
said = f"rank {dist.get_rank()} of {dist.get_world_size()} sum {one[0].item()} on {socket.gethostname()}"
os.write(1, f"{said}\\n".encode())  # in one piece: torchrun's processes are unbuffered, and lines would mix
dist.destroy_process_group()
"""


@pytest.mark.parametrize("plugin", ["", "--mpi=pmix"], ids=["default", "pmix"])
def test_mpi_across_nodes(cluster: Cluster, plugin: str) -> None:
    cluster.write("mpi.py", MPI)
    text = cluster.out(f"srun -C gpu -q regular -t 2 -N4 --ntasks-per-node=2 {plugin} python3 mpi.py")
    rows = sorted(line.split() for line in text.splitlines() if line.startswith("rank"))
    assert [row[1] for row in rows] == list("01234567")
    assert {row[3] for row in rows} == {"8"}
    assert {row[5] for row in rows} == {"36"}
    assert {row[7] for row in rows} == {"nid001", "nid002", "nid003", "nid004"}


def test_a_barrier_of_ranks_is_one(cluster: Cluster) -> None:
    """Slurm 22.05's default barrier lets ranks through too early, now and then: see config.mpi_conf."""
    assert "ring" in cluster.out("scontrol show config | grep PMIxCollFence")


def test_without_pmix_ranks_do_not_find_each_other(cluster: Cluster) -> None:
    """So that the test above proves PMIx: it would not pass without."""
    cluster.write("mpi.py", MPI)
    text = cluster.out("srun -C gpu -q regular -t 2 -N2 --mpi=none python3 mpi.py 2>&1", check=False)
    assert "of 2" not in text


def test_mpicc_and_mpirun(cluster: Cluster) -> None:
    if cluster.run(["sh", "-c", "command -v cc"], check=False).returncode:
        assert cluster.run(["mpicc", "--showme:version"]).stdout.strip()
        pytest.skip("this machine has no C compiler")
    cluster.write("hello.c", COMPILED)
    cluster.run("mpicc hello.c -o hello")
    assert cluster.out("srun -C gpu -q regular -t 2 -N2 -n4 ./hello").splitlines() == ["sum 6"] * 4
    job = cluster.sbatch("mpirun ./hello", "-N2", "-n4")
    cluster.wait(job)
    assert cluster.output(job).splitlines() == ["sum 6"] * 4


def test_torchrun_across_nodes(cluster: Cluster) -> None:
    cluster.write("all_reduce.py", TORCH)
    job = cluster.sbatch(
        "export OMP_NUM_THREADS=1\n"
        "first=$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1)\n"
        "srun torchrun --nnodes=2 --nproc-per-node=2 --rdzv-backend=c10d"
        " --rdzv-endpoint=$first:29400 --rdzv-id=$SLURM_JOB_ID all_reduce.py\n",
        "-N2",
        "--ntasks-per-node=1",
        "--cpus-per-task=2",
    )
    cluster.wait(job, seconds=150)
    # gloo prints lines of its own into the same pipe, so a rank's may begin anywhere
    rows = sorted(re.findall(r"rank (\d) of 4 sum (\S+) on (nid\d+)", cluster.output(job)))
    assert [rank for rank, _, _ in rows] == list("0123"), cluster.output(job)
    assert {total for _, total, _ in rows} == {"10.0"}
    assert len({node for _, _, node in rows}) == 2
