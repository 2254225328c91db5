"""A job that takes more memory than it asked for is stopped, and its record says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

GREEDY = """\
import time
taken = []
for _ in range(60):
    taken.append(bytearray(b"x") * (10 << 20))
    time.sleep(0.05)
time.sleep(60)
"""
MODEST = "python3 -c 'taken = bytearray(b\"x\") * (100 << 20)'\n"


def check_memory(cluster: Cluster) -> None:
    """Also used for a cluster of an ordinary user."""
    by_cgroup = "cgroup v" in cluster.hpclab("status").stdout
    cluster.write("greedy.py", GREEDY)
    in_batch = cluster.sbatch("python3 greedy.py", "--mem=200")
    in_step = cluster.sbatch("srun --ntasks=1 python3 greedy.py", "--mem=200")
    modest = cluster.sbatch(MODEST, "--mem=200")
    cluster.wait(modest)
    for job, step in ((in_batch, "batch"), (in_step, "0")):
        cluster.wait(job, ("OUT_OF_MEMORY", "CANCELLED", "FAILED"), seconds=90)
        steps = dict(
            row.split("|", 1)
            for row in cluster.out(f"sacct -n -P -o jobid,state,exitcode -j {job}").splitlines()
        )
        if by_cgroup:  # Slurm marks the step that was stopped, and the job where that is the batch script
            assert steps[f"{job}.{step}"] == "OUT_OF_MEMORY|0:125", steps
            assert "oom-kill" in cluster.output(job)
        else:
            assert "memory" in cluster.output(job).lower(), cluster.story(job)
    if by_cgroup:
        assert cluster.state_of(in_batch) == "OUT_OF_MEMORY"


def test_too_much_memory(cluster: Cluster) -> None:
    check_memory(cluster)


def test_more_than_a_node_has_is_refused(cluster: Cluster) -> None:
    done = cluster.try_sbatch("true", "-C", "gpu", "-q", "regular", "--mem=5000")
    assert done.returncode != 0
    assert "Memory specification can not be satisfied" in done.stderr


def test_memory_used_is_in_the_records(cluster: Cluster) -> None:
    job = cluster.sbatch(
        "srun --ntasks=1 python3 -c 'import time; x = bytearray(b\"x\") * (150 << 20); time.sleep(3)'",
        "--mem=400",
    )
    cluster.wait(job)
    most = cluster.out(f"sacct -n -P --units=M -o maxrss -j {job}.0")
    assert 140 <= float(most.rstrip("M")) <= 300
