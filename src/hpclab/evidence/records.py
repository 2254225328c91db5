"""Jobs, attempts and steps of the learner, returned once their accounting records are complete."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hpclab import slurm
from hpclab.errors import DeadlineExceeded
from hpclab.evidence import slurm_queries
from hpclab.evidence.checks import check, warn_fallback
from hpclab.evidence.functions import REPLAY_PREFIX
from hpclab.evidence.job_requests import options
from hpclab.slurm import Job, Step, Usage

END_TIMEOUT_S = 45.0
# A pending job with one of these reasons does not start by itself.
NEVER_STARTS = ("JobHeldUser", "JobHeldAdmin", "DependencyNeverSatisfied", "BadConstraints")

Selection = Callable[[list[Job]], list[Job]]


def learner() -> str:
    """Return the user whose jobs count: the one named by the grader, else the user of this process."""
    return os.environ.get("HPCLAB_LEARNER") or getpass.getuser()


def jobs(name: str = "") -> list[Job]:
    """Return the jobs submitted from this folder or below it, all or those called ``name``; may be empty.

    The oldest is first. A requeued job appears once, with its newest attempt. The call waits some seconds until
    accounting has complete records of the jobs that have ended.
    """
    return slurm_queries.wait_until_complete(
        lambda: _find_jobs(name), f"the records of {name or 'your jobs'}"
    )


def job(name: str) -> Job:
    """Return the newest job called ``name`` after it has ended. Raises CheckFailed if there is none or it does not end."""
    return jobs_ended(name)[-1]


def jobs_ended(name: str, at_least: int = 1) -> list[Job]:
    """Like ``jobs``, but at least ``at_least`` jobs, all of which have ended. Raises CheckFailed otherwise."""
    wanted = f"{at_least} jobs of that name" if at_least > 1 else "a job of that name"
    return _wait_for_end(name, list, at_least, wanted)


def tasks(name: str) -> list[Job]:
    """Return all tasks of the newest job array called ``name``, ordered by index, after all have ended.

    Tasks that were cancelled together before they started are returned one by one. Slurm 22.05 has no record of
    a single task that was cancelled before it started, so such a task is missing.
    """
    records = _wait_for_end(name, _newest_array, 1, "a job array of that name")
    own = {job.array_index: job for job in records if job.array_index is not None}
    # The record of the tasks that never started may still list some that did.
    unstarted = {
        index: replace(job, id=f"{job.array_id}_{index}")
        for job in records
        for index in _array_indices(job)
        if index not in own
    }
    return [task for _, task in sorted((own | unstarted).items())]


def attempts(job: Job) -> list[Job]:
    """Return every attempt of ``job``, the oldest first; a requeued job has several, with ``restarts`` 0, 1, …"""

    def look() -> tuple[list[Job], bool]:
        found = slurm_queries.query_accounting(slurm.query_attempts, job)
        if found is None:
            warn_fallback("Accounting is not available on this site", "earlier attempts are not known")
            return [job], True
        last = found[-1] if found else None
        has_last = (
            last is not None and (last.start or 0) >= (job.start or 0) and (last.ended or not job.ended)
        )
        return found, has_last and all(attempt.complete for attempt in found)

    found = slurm_queries.wait_until_complete(look, f"every attempt of job {job.id}")
    check(found, f"no record of job {job.id} in accounting", "its attempts", f"sacct -X -D -j {job.id}")
    return found


def steps(job: Job) -> list[Step]:
    """Return the steps of this attempt of ``job``: the batch script and each ``srun``; empty if it never started.

    Accounting may have no steps of an attempt that was requeued in its first seconds.
    """

    def look() -> tuple[list[Step], bool]:
        found = slurm_queries.query_accounting(slurm.query_steps, job)
        if found is None:
            warn_fallback("Accounting is not available on this site", "the steps of a job are not known")
            return [], True
        batch = any(step.id.endswith(".batch") for step in found) or not _is_batch_job(job)
        ended = not job.ended or all(step.ended for step in found)
        return found, ended and (_ended_long_ago(job) or (batch and all(map(_is_measured, found))))

    return [] if job.start is None else slurm_queries.wait_until_complete(look, f"the steps of job {job.id}")


def usage(job: Job) -> Usage:
    """Return what ``job`` was allocated and what it used, for ``plots.request_against_use``.

    The memory used is that of the largest step, all its tasks together. Slurm samples it at an interval that the
    site sets, so a short peak can be missed.
    """
    peaks = [step.total_rss or step.max_rss for step in steps(job) if step.max_rss is not None]
    return Usage(
        f"{job.name} ({job.id})",
        cpus=job.allocated.get("cpu"),
        cpus_used=job.total_cpu / job.elapsed if job.elapsed and job.total_cpu is not None else None,
        memory=job.allocated.get("mem"),
        memory_used=max((used for used in peaks if used is not None), default=None),
        time_limit=job.time_limit,
        elapsed=job.elapsed,
    )


def _find_jobs(name: str) -> tuple[list[Job], bool]:
    """The jobs with this name below the current folder, and whether their accounting records are complete."""
    queued: list[Job] = slurm_queries.query(slurm.query_queue, user=learner(), recent=True)
    # sacct has its own syntax for lists of names, so only plain names are passed to it.
    # With a cache, one query for all names is cheaper than one for each.
    pass_name = re.fullmatch(r"[\w.+-]+", name, re.ASCII) and not slurm_queries.is_caching()
    names = [name] if pass_name else []
    known: list[Job] | None = slurm_queries.query_accounting(
        slurm.query_accounting, names=names, user=learner()
    )
    if known is None:
        warn_fallback(
            "Accounting is not available on this site",
            "only the jobs that the controller still knows are seen",
        )
    queued = [job for job in queued if _has_name(job, name)]
    found, incomplete = (queued, []) if known is None else slurm.merge_records(known, queued)
    here = Path.cwd().resolve()
    matching = [job for job in found if _has_name(job, name) and _is_inside(job.folder, here)]
    return matching, not any(job in matching for job in incomplete)


def _has_name(job: Job, name: str) -> bool:
    """Whether the job has this name. Accounting stores a double quote as a backquote."""
    return not name or job.name.replace('"', "`") == name.replace('"', "`")


def _is_inside(folder: str, here: Path) -> bool:
    path = Path(folder).resolve()
    return bool(folder) and path.is_relative_to(here) and REPLAY_PREFIX not in str(path.relative_to(here))


def _wait_for_end(name: str, pick: Selection, at_least: int, wanted: str) -> list[Job]:
    """The jobs of that name that ``pick`` returns, once there are enough and all have ended."""
    found: list[Job] = []

    def is_decided() -> bool:
        # The controller knows a submitted job at once, so waiting does not help if there are too few.
        found[:] = pick(jobs(name))
        stop = len(found) < at_least or slurm_queries.is_caching()
        return stop or all(job.ended or job.reason in NEVER_STARTS for job in found)

    with contextlib.suppress(DeadlineExceeded):
        slurm.wait_with_backoff(is_decided, name, seconds=END_TIMEOUT_S, max_pause_s=5.0)
    count = {0: "no job", 1: "one job"}.get(len(found), f"{len(found)} jobs")
    check(
        len(found) >= at_least,
        f"{count} named {name!r} that was submitted from this folder",
        wanted,
        "sacct -X --format=jobid,jobname%20,state,workdir%60",
    )
    for job in found:
        reason = f", {job.reason}" if job.reason and job.state == "PENDING" else ""
        check(
            job.ended,
            f"job {job.id} ({name}) is still {job.state}{reason}",
            "a job that has ended",
            f"squeue --jobs={job.array_id}; then run this check again",
        )
    return found


def _newest_array(found: list[Job]) -> list[Job]:
    arrays = [job.array_id for job in found if job.array_index is not None or _array_indices(job)]
    return [job for job in found if job.array_id in arrays[-1:]]


def _array_indices(job: Job) -> list[int]:
    """The task indices in an id such as ``12_[4-7,9%2]``; empty for a single task and for a job without an array.

    An array that is cancelled before accounting knows it is recorded as an ordinary job.
    """
    if job.array_index is not None:
        return []
    if "_" in job.id or job.start is not None:
        return slurm.parse_array_indices(job.id.partition("_")[2])
    return slurm.parse_array_indices(options(job).get("array", ""))


def _is_measured(step: Step) -> bool:
    return step.max_rss is not None or step.id.endswith(".extern")  # runs no program of the job


def _ended_long_ago(job: Job) -> bool:
    """Whether the job ended so long ago that its accounting record must be complete."""
    return job.end is not None and time.time() - job.end > slurm_queries.ACCOUNTING_WAIT_S


def _is_batch_job(job: Job) -> bool:
    return Path(job.submit_line.split(" ")[0]).name == "sbatch"
