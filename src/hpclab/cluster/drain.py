"""The end of a learner's work on an isolated cluster: wait for jobs, cancel what is left, leave no process.

A job that can never start (held, or waiting for one that failed) runs nothing; it stays as it is, since it may be
just what a test looks for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import msgspec

from hpclab.cluster.client import IsolatedCluster
from hpclab.cluster.config import imitation
from hpclab.errors import ClusterError, DeadlineExceeded

END = 60.0  # seconds in which all must have stopped
RECORDS = 30.0  # seconds that accounting may lag behind
# Reasons of a job that waits for something that does not come by itself.
NEVER = re.compile(
    "JobHeld|DependencyNeverSatisfied|PartitionTimeLimit|PartitionNodeLimit|BadConstraints|InvalidAccount|InvalidQOS"
    "|AccountNotAllowed|.*Max.*(PerJob|PerNode|Minutes|Wall)"
)
WAITS = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
KNOWN = ("squeue", "-h", "-a", "-t", "all", "-o", "%A|%T|%e|%N")
RECORDED = ("sacct", "-a", "-X", "-n", "-P", "-S", "1970-01-01", "-o", "jobidraw,end")
QUEUE = ("squeue", "-h", "-r", "-o", "%i|%T|%r|%E")


class Waiting(msgspec.Struct, frozen=True):
    """A job that is not over: its id, state, and if it waits why, and for which conditions."""

    id: str
    state: str
    reason: str
    links: str


def stop(cluster: IsolatedCluster, job_wait_seconds: float) -> str:
    """Stop all of the learner's; what had to be stopped, as text. Raises ClusterError where something resists."""
    left = _wait_for_jobs(cluster, job_wait_seconds)
    limit = cluster.use().limit
    end = time.monotonic() + END
    # From here on no job starts, whoever submits it.
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
    """The jobs that run or may yet run. Pure.

    A job that waits for one that never starts does not start either.
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
    """Whether its conditions cannot all come true; or none of them, where one would do ("?")."""
    jobs = {one.split("_")[0] for one in stuck}
    waits = [number in jobs for number in re.findall(r":(\d+)", job.links)]
    return all(waits) if "?" in job.links else any(waits)


def _wait_for_jobs(cluster: IsolatedCluster, seconds: float) -> list[Waiting]:
    """Wait until no job may run any more, or the time is over; those that are left."""
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
    """Wait until accounting has heard of the end of every job that is over."""
    end = time.monotonic() + RECORDS
    while job := unrecorded(_run(cluster, *KNOWN), _run(cluster, *RECORDED)):
        if time.monotonic() >= end:
            raise DeadlineExceeded(f"accounting had not heard of the end of job {job} within {RECORDS:g} s")
        time.sleep(0.1)


def unrecorded(known: str, recorded: str) -> str:
    """The first job of the controller's list that ran and whose end accounting lacks; "" if none. Pure.

    The controller tells accounting of new jobs every 5 s, until then accounting does not know that there are
    any. And of a job that ran again it may know the attempt before.
    """
    ends = dict(row.split("|", 1) for row in recorded.splitlines() if "|" in row)
    for row in known.splitlines():
        job, state, end, nodes = row.split("|")
        recorded = ends.get(job, "Unknown")
        # Accounting never hears of a job that was cancelled before it could begin.
        if nodes and state not in WAITS and (recorded == "Unknown" or recorded < end):
            return job
    return ""


def _run(cluster: IsolatedCluster, *argv: str, may_fail: bool = False) -> str:
    status, said = cluster.as_root(*argv)
    if status and not may_fail:
        raise ClusterError(f"the isolated cluster's controller did not answer {argv[0]}: {said.strip()}")
    return said
