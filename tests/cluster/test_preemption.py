"""Preemption as the imitated site has it: who may, the warning, the grace, the return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpclab.shell import wait_until

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

# Says what happens to it, and goes on until it is killed.
PATIENT = """\
echo "start ${SLURM_RESTART_COUNT:-0} $(date +%s)"
trap 'echo "usr1 $(date +%s)"' USR1
trap 'echo "term $(date +%s)"' TERM
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then exit 0; fi
while :; do sleep 0.2; done
"""
WHOLE = ["--constraint=gpu", "--nodes=4", "--exclusive", "--time=5", "--open-mode=append"]
SHORT = ["--constraint=gpu", "--nodes=4", "--exclusive", "--time=2"]


def started(cluster: Cluster, job: str) -> None:
    cluster.wait(job, "RUNNING")
    wait_until(lambda: "start" in cluster.output(job), f"job {job} to write", seconds=20)


def test_a_preempted_job_is_warned_stopped_and_comes_back(cluster: Cluster) -> None:
    victim = cluster.sbatch(PATIENT, *WHOLE, "-q", "preempt", "--requeue", "--signal=B:USR1@60", plain=True)
    started(cluster, victim)
    urgent = cluster.sbatch("date +%s", *SHORT, "-q", "interactive", plain=True)
    cluster.wait(urgent, seconds=100)
    cluster.wait(victim, seconds=120, passing="PREEMPTED")
    heard = [
        line.split()
        for line in cluster.output(victim).splitlines()
        if line.split()[0] in ("start", "usr1", "term")
    ]
    words = [row[0] for row in heard]
    assert words[0] == "start" and words[-1] == "start"
    assert "usr1" in words, "the signal that the job asked for did not come"
    assert [row[1] for row in heard if row[0] == "start"] == ["0", "1"]
    warned = next(int(row[-1]) for row in heard if row[0] in ("usr1", "term"))
    began = int(cluster.output(urgent))
    # At least the grace of 5 s; Slurm looks every 30 s whether it is over.
    assert 4 <= began - warned <= 50
    assert [
        row.split("|")[0] for row in cluster.out(f"sacct -D -X -n -P -o state -j {victim}").splitlines()
    ] == [
        "PREEMPTED",
        "COMPLETED",
    ]


def test_a_job_that_did_not_ask_to_be_requeued_is_ended(cluster: Cluster) -> None:
    victim = cluster.sbatch(PATIENT, *WHOLE, "-q", "preempt", plain=True)
    started(cluster, victim)
    urgent = cluster.sbatch("true", *SHORT, "-q", "premium", plain=True)
    cluster.wait(urgent, seconds=100)
    cluster.wait(victim, "PREEMPTED")
    assert "start 1" not in cluster.output(victim)


def test_regular_and_debug_wait_for_a_preemptible_job(cluster: Cluster) -> None:
    holder = cluster.sbatch(PATIENT, *WHOLE, "-q", "preempt", "--requeue", plain=True)
    started(cluster, holder)
    waiting = [cluster.sbatch("true", *SHORT, "-q", qos, plain=True) for qos in ("regular", "debug")]
    try:
        for job in waiting:
            wait_until(
                lambda job=job: cluster.out(f"squeue -h -j {job} -o %r") in ("Resources", "Priority"),
                "the scheduler to look at the job",
                seconds=20,
            )
        assert cluster.state_of(holder) == "RUNNING"
    finally:
        cluster.run(f"scancel {holder} {' '.join(waiting)}")
    cluster.wait(holder, "CANCELLED")


def test_who_preempts_whom(cluster: Cluster) -> None:
    rows = cluster.out("sacctmgr -n -P show qos format=name,preempt,gracetime").splitlines()
    found = {
        name: (set(filter(None, preempts.split(","))), grace)
        for name, preempts, grace in (row.split("|") for row in rows)
    }
    assert found["premium"][0] == found["interactive"][0] == {"preempt", "overrun"}
    assert found["preempt"] == ({"overrun"}, "00:00:05")
    assert found["regular"][0] == found["debug"][0] == found["shared"][0] == set()
