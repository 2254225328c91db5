"""Jobs, their attempts and steps, as soon as accounting has all of them."""

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
from hpclab.evidence import asking
from hpclab.evidence.asked import options
from hpclab.evidence.checks import check, fall_back
from hpclab.evidence.functions import FOLDERS
from hpclab.slurm import Job, Step, Usage

END_SECONDS = 45.0
# No wait makes a job start that has one of these reasons.
NEVER = ("JobHeldUser", "JobHeldAdmin", "DependencyNeverSatisfied", "BadConstraints")

Pick = Callable[[list[Job]], list[Job]]


def learner() -> str:
    """Whose jobs count: the user of this process, or the one that a grader names."""
    return os.environ.get("HPCLAB_LEARNER") or getpass.getuser()


def jobs(name: str = "") -> list[Job]:
    """Every job, or every one called ``name``, submitted from this folder or one below it; may be empty.

    The oldest comes first, a requeued job once, with its newest attempt. Jobs that are over come with
    all that accounting will have of them, or, some seconds later, with what there is.
    """
    return asking.settled(lambda: _look(name), f"the records of {name or 'your jobs'}")


def job(name: str) -> Job:
    """The newest job called ``name``, once it is over. Fails where none comes or none ends."""
    return jobs_ended(name)[-1]


def jobs_ended(name: str, at_least: int = 1) -> list[Job]:
    """Like ``jobs``, once there are ``at_least`` of them and all are over."""
    wanted = f"{at_least} jobs of that name" if at_least > 1 else "a job of that name"
    return _ended(name, list, at_least, wanted)


def tasks(name: str) -> list[Job]:
    """All tasks of the newest job array called ``name``, once all are over, by their index.

    Tasks that were cancelled together before they started come one by one. Slurm 22.05 keeps no record of
    a single task that was cancelled before it started: such a task is missing.
    """
    found = _ended(name, _newest_array, 1, "a job array of that name")
    own = {job.array_index: job for job in found if job.array_index is not None}
    # The record of those that never started may still name some that did.
    together = {
        index: replace(job, id=f"{job.array_id}_{index}")
        for job in found
        for index in _indices(job)
        if index not in own
    }
    return [task for _, task in sorted((own | together).items())]


def attempts(job: Job) -> list[Job]:
    """Every attempt of ``job``, the oldest first: a requeued job has several, with ``restarts`` 0, 1, …"""

    def look() -> tuple[list[Job], bool]:
        found = asking.ask_accounting(slurm.ask_attempts, job)
        if found is None:
            fall_back("This site shows no accounting", "earlier attempts are not known")
            return [job], True
        last = found[-1] if found else None
        here = last is not None and (last.start or 0) >= (job.start or 0) and (last.ended or not job.ended)
        return found, here and all(one.whole for one in found)

    found = asking.settled(look, f"every attempt of job {job.id}")
    check(found, f"no record of job {job.id} in accounting", "its attempts", f"sacct -X -D -j {job.id}")
    return found


def steps(job: Job) -> list[Step]:
    """The steps of this attempt of ``job``: the batch script and each ``srun``; none where it never started.

    Of an attempt that is requeued in its first seconds accounting may have no steps.
    """

    def look() -> tuple[list[Step], bool]:
        found = asking.ask_accounting(slurm.ask_steps, job)
        if found is None:
            fall_back("This site shows no accounting", "the steps of a job are not known")
            return [], True
        batch = any(step.id.endswith(".batch") for step in found) or not _by_sbatch(job)
        over = not job.ended or all(step.ended for step in found)
        return found, over and (_long_ago(job) or (batch and all(map(_measured, found))))

    return [] if job.start is None else asking.settled(look, f"the steps of job {job.id}")


def usage(job: Job) -> Usage:
    """What ``job`` was given and what it used, for ``plots.request_against_use``.

    Memory in use is that of the step that used most, all its tasks together. Slurm looks now and then only
    (how often, the site decides), so a short peak can be missed.
    """
    found = steps(job)
    busy = [step.total_rss or step.max_rss for step in found if step.max_rss is not None]
    return Usage(
        f"{job.name} ({job.id})",
        cpus=job.allocated.get("cpu"),
        cpus_used=job.total_cpu / job.elapsed if job.elapsed and job.total_cpu is not None else None,
        memory=job.allocated.get("mem"),
        memory_used=max((used for used in busy if used is not None), default=None),
        time_limit=job.time_limit,
        elapsed=job.elapsed,
    )


def _look(name: str) -> tuple[list[Job], bool]:
    """The jobs that fit, and whether accounting has all it will have of them."""
    queued: list[Job] = asking.ask(slurm.ask_queue, user=learner(), recent=True)
    # sacct takes a list of names in a syntax of its own, so it is asked for plain ones only.
    # Where answers are kept, one question for all names is the better one.
    plain = re.fullmatch(r"[\w.+-]+", name, re.ASCII) and not asking.is_all_over()
    names = [name] if plain else []
    known: list[Job] | None = asking.ask_accounting(slurm.ask_accounting, names=names, user=learner())
    if known is None:
        fall_back(
            "This site shows no accounting", "only jobs of the last minutes are known, from the controller"
        )
    queued = [one for one in queued if _called(one, name)]
    found, late = (queued, []) if known is None else slurm.merged(known, queued)
    here = Path.cwd().resolve()
    fitting = [one for one in found if _called(one, name) and _below(one.folder, here)]
    return fitting, not any(one in fitting for one in late)


def _called(job: Job, name: str) -> bool:
    """Whether the job has this name; accounting writes a quotation mark as a backquote."""
    return not name or job.name.replace('"', "`") == name.replace('"', "`")


def _below(folder: str, here: Path) -> bool:
    path = Path(folder).resolve()
    return bool(folder) and path.is_relative_to(here) and FOLDERS not in str(path.relative_to(here))


def _ended(name: str, pick: Pick, at_least: int, wanted: str) -> list[Job]:
    """The jobs of that name that ``pick`` takes, once there are enough and all are over."""
    found: list[Job] = []

    def over_or_hopeless() -> bool:
        # A job that was submitted is known at once, so there is none to wait for where too few are there.
        found[:] = pick(jobs(name))
        none_ends = len(found) < at_least or asking.is_all_over()
        return none_ends or all(job.ended or job.reason in NEVER for job in found)

    with contextlib.suppress(DeadlineExceeded):
        slurm.wait_politely(over_or_hopeless, name, seconds=END_SECONDS, most=5.0)
    there = {0: "no job", 1: "one job"}.get(len(found), f"{len(found)} jobs")
    check(
        len(found) >= at_least,
        f"{there} named {name!r} that was submitted from this folder",
        wanted,
        "sacct -X --format=jobid,jobname%20,state,workdir%60",
    )
    for late in found:
        reason = f", {late.reason}" if late.reason and late.state == "PENDING" else ""
        check(
            late.ended,
            f"job {late.id} ({name}) still {late.state}{reason}",
            "a job that is over",
            f"squeue --jobs={late.array_id}; then run this check again",
        )
    return found


def _newest_array(found: list[Job]) -> list[Job]:
    arrays = [job.array_id for job in found if job.array_index is not None or _indices(job)]
    return [job for job in found if job.array_id in arrays[-1:]]


def _indices(job: Job) -> list[int]:
    """The tasks behind ``12_[4-7,9%2]``; none for a job that is one task, or no array.

    An array that is cancelled before accounting has heard of it is recorded as a plain job.
    """
    if job.array_index is not None:
        return []
    if "_" in job.id or job.start is not None:
        return slurm.array_indices(job.id.partition("_")[2])
    return slurm.array_indices(options(job).get("array", ""))


def _measured(step: Step) -> bool:
    return step.max_rss is not None or step.id.endswith(".extern")  # which runs no program of the job


def _long_ago(job: Job) -> bool:
    """Whether accounting must have heard by now of all that the job did."""
    return job.end is not None and time.time() - job.end > asking.SETTLE_SECONDS


def _by_sbatch(job: Job) -> bool:
    return Path(job.submit_line.split(" ")[0]).name == "sbatch"
