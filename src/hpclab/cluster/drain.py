"""End a learner's work on an isolated cluster: wait for jobs, cancel the rest, kill all processes.

A job that can never start (held, or dependent on one that failed) runs nothing; it stays as it is, because a
test may look for exactly that.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import msgspec

from hpclab.cluster.client import IsolatedCluster
from hpclab.cluster.config import imitation
from hpclab.errors import ClusterError, DeadlineExceeded

END = 60.0  # seconds in which everything must have stopped
RECORDS = 30.0  # seconds that accounting may lag behind
# Reasons of a job that can't start unless a user or administrator changes something.
NEVER = re.compile(
    "JobHeld|DependencyNeverSatisfied|PartitionTimeLimit|PartitionNodeLimit|BadConstraints|InvalidAccount|InvalidQOS"
    "|AccountNotAllowed|.*Max.*(PerJob|PerNode|Minutes|Wall)"
)
WAITS = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
KNOWN = ("squeue", "-h", "-a", "-t", "all", "-o", "%A|%T|%e|%N")
RECORDED = ("sacct", "-a", "-X", "-n", "-P", "-S", "1970-01-01", "-o", "jobidraw,end")
QUEUE = ("squeue", "-h", "-r", "-o", "%i|%T|%r|%E")


class Waiting(msgspec.Struct, frozen=True):
    """A job that has not ended: its id, state, reason for waiting and dependencies."""

    id: str
    state: str
    reason: str
    links: str


def stop(cluster: IsolatedCluster, job_wait_seconds: float) -> str:
    """Stop all of the learner's jobs and processes; returns a description. Raises ClusterError if any can't be stopped."""
    left = _wait_for_jobs(cluster, job_wait_seconds)
    limit = cluster.use().limit
    end = time.monotonic() + END
    # From now on no job starts, whoever submits it.
    _run(cluster, "scontrol", "update", f"PartitionName={imitation(cluster.spec).partition}", "State=DOWN")
    cancelled: set[str] = set()
    killed = 0
    while True:
        if left:
            _run(cluster, "scancel", "--quiet", *(job.id for job in left), may_fail=True)
            cancelled.update(job.id for job in left)
        before = cluster.use().tasks
        killed = max(killed, before)
        after = cluster.kill("learner") if before else None
        left = active(_queue(cluster))
        if not left and not (after and after.tasks):
            break
        if time.monotonic() >= end:
            raise ClusterError(
                f"{len(left)} jobs and {after.tasks if after else 0} processes of the learner's could not be stopped"
            )
        time.sleep(0.05)
    cluster.watch(on=False)
    _records(cluster)
    reasons = []
    if limit:
        reasons.append(f"all of it, for its {limit}")
    elif cancelled:
        reasons.append(f"{len(cancelled)} job{'s' * (len(cancelled) > 1)} that still ran or waited")
    elif killed:
        reasons.append("programs that still ran when the last cell had ended")
    return f"Stopped: {reasons[0]}." if reasons else ""


def active(jobs: Iterable[Waiting]) -> list[Waiting]:
    """Return the jobs that run or may still start. Pure.

    A job that depends on one that never starts doesn't start either.
    """
    known = list(jobs)
    stuck: set[str] = set()
    while True:
        more = {
            job.id
            for job in known
            if job.state == "PENDING"
            and (NEVER.match(job.reason) or (job.reason == "Dependency" and _waits_for(job, stuck)))
        }
        if more == stuck:
            return [job for job in known if job.id not in stuck]
        stuck = more


def _waits_for(job: Waiting, stuck: set[str]) -> bool:
    """Return whether the job's dependencies can't be met: one that fails is enough, with "?" all must fail."""
    jobs = {one.split("_")[0] for one in stuck}
    waits = [number in jobs for number in re.findall(r":(\d+)", job.links)]
    return all(waits) if "?" in job.links else any(waits)


def _wait_for_jobs(cluster: IsolatedCluster, seconds: float) -> list[Waiting]:
    """Wait until no job can run any more, at most ``seconds``; returns the jobs that are left."""
    end, pause = time.monotonic() + seconds, 0.1
    while True:
        left = active(_queue(cluster))
        if not left or time.monotonic() >= end or cluster.use().limit:
            return left
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(2 * pause, 1.0)


def _queue(cluster: IsolatedCluster) -> list[Waiting]:
    rows = (line.split("|", 3) for line in _run(cluster, *QUEUE).splitlines())
    return [Waiting(*row) for row in rows if len(row) == 4]


def _records(cluster: IsolatedCluster) -> None:
    """Wait until accounting has the end of every finished job. Raises DeadlineExceeded."""
    end = time.monotonic() + RECORDS
    while job := unrecorded(_run(cluster, *KNOWN), _run(cluster, *RECORDED)):
        if time.monotonic() >= end:
            raise DeadlineExceeded(f"accounting had not heard of the end of job {job} within {RECORDS:g} s")
        time.sleep(0.1)


def unrecorded(known: str, recorded: str) -> str:
    """Return the first job in the controller's list that ran and whose end accounting lacks, or "". Pure.

    The controller sends new jobs to accounting every 5 s; until then accounting doesn't know them. For a requeued
    job accounting may still have the end of the previous attempt.
    """
    ends = dict(row.split("|", 1) for row in recorded.splitlines() if "|" in row)
    for row in known.splitlines():
        job, state, end, nodes = row.split("|")
        recorded = ends.get(job, "Unknown")
        # Accounting never learns of a job that was cancelled before it started.
        if nodes and state not in WAITS and (recorded == "Unknown" or recorded < end):
            return job
    return ""


def _run(cluster: IsolatedCluster, *argv: str, may_fail: bool = False) -> str:
    status, said = cluster.as_root(*argv)
    if status and not may_fail:
        raise ClusterError(f"the isolated cluster's controller did not answer {argv[0]}: {said.strip()}")
    return said
