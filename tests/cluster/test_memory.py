"""A job that takes more memory than it asked for is stopped, and its record says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

GREEDY = """\
srun --ntasks=1 python3 -c '
import time
taken = []
for _ in range(60):
    taken.append(bytearray(b"x") * (10 << 20))
    time.sleep(0.05)
time.sleep(30)
'
"""
MODEST = "srun --ntasks=1 python3 -c 'taken = bytearray(b\"x\") * (100 << 20)'\n"


def check_memory(cluster: Cluster) -> None:
    """Also used for a cluster of an ordinary user."""
    limits = cluster.hpclab("status").stdout
    greedy = cluster.sbatch(GREEDY, "--mem=200")
    modest = cluster.sbatch(MODEST, "--mem=200")
    cluster.wait(modest)
    cluster.wait(greedy, ("OUT_OF_MEMORY", "CANCELLED", "FAILED"), seconds=90)
    if "cgroup" in limits and "polling" not in limits:
        assert cluster.state_of(greedy) == "OUT_OF_MEMORY"
        assert cluster.field(greedy, "exitcode") == "0:125"
        steps = cluster.out(f"sacct -n -P -o jobid,state -j {greedy}").splitlines()
        assert any(row.startswith(f"{greedy}.0|OUT_OF_ME") for row in steps), steps
    else:
        assert "polling" in limits
        assert "Exceeded job memory limit" in cluster.output(greedy) or "memory" in cluster.output(greedy).lower()


def test_too_much_memory(cluster: Cluster) -> None:
    check_memory(cluster)


def test_more_than_a_node_has_is_refused(cluster: Cluster) -> None:
    done = cluster.try_sbatch("true", "-C", "gpu", "-q", "regular", "--mem=5000")
    assert done.returncode != 0
    assert "Memory specification can not be satisfied" in done.stderr


def test_memory_used_is_in_the_records(cluster: Cluster) -> None:
    job = cluster.sbatch("srun --ntasks=1 python3 -c 'import time; x = bytearray(b\"x\") * (150 << 20); time.sleep(3)'", "--mem=400")
    cluster.wait(job)
    most = cluster.out(f"sacct -n -P --units=M -o maxrss -j {job}.0")
    assert 140 <= float(most.rstrip("M")) <= 300
