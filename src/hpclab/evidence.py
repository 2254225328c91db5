"""What a test of an exercise may ask: jobs, stored scripts, output and files.

Tests look at evidence only, never at the learner's variables, so a test cell
runs unchanged in the learner's notebook and in a grader's own process. Every
answer comes from Slurm's accounting or from a file below the lab's folder.

    job = evidence.job("estimate")
    evidence.check(job.state == "COMPLETED", f"job {job.id} is {job.state}", "COMPLETED", "its output file")
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hpclab import shell, slurm
from hpclab.errors import DeadlineExceeded
from hpclab.slurm import Job

APPEAR_SECONDS = 10.0  # accounting lags some seconds behind the controller
END_SECONDS = 45.0
NEVER = ("JobHeldUser", "JobHeldAdmin", "DependencyNeverSatisfied")  # no wait makes these start
MOST_BYTES = 1_000_000


class CheckFailed(AssertionError):
    """A check of a task failed. Notebooks show its text alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check(holds: object, found: str, expected: str, look: str = "") -> None:
    """Raise CheckFailed unless ``holds``; the text never tells the answer.

    ``found`` and ``expected`` are half-sentences, ``look`` names a command or file.
    """
    if not holds:
        hint = f"\nLook: {look}" if look else ""
        raise CheckFailed(f"Found: {found}.\nExpected: {expected}.{hint}")


def learner() -> str:
    """Whose jobs count: the user of this process, or the one that a grader names."""
    return os.environ.get("HPCLAB_LEARNER") or getpass.getuser()


def jobs(name: str = "") -> list[Job]:
    """Every job, or every one called ``name``, submitted from this folder, the oldest first; may be empty."""
    here = Path.cwd().resolve()
    known = slurm.ask_accounting(_run, names=[name] if name else [], user=learner())
    # Accounting leaves out jobs that cannot start yet, a held one for instance.
    seen = {job.raw_id for job in known}
    queued = [job for job in slurm.ask_queue(_run, user=learner()) if job.raw_id not in seen]
    return [
        job
        for job in known + [job for job in queued if job.name == name or not name]
        if job.folder and Path(job.folder).resolve() == here
    ]


def job(name: str) -> Job:
    """The newest job called ``name``, once it is over. Fails where none comes or none ends."""
    found = jobs_ended(name)
    return found[-1]


def jobs_ended(name: str, at_least: int = 1) -> list[Job]:
    """Like ``jobs``, once there are ``at_least`` of them and all are over."""
    found: list[Job] = []
    queued: list[Job] = []

    def enough() -> bool:
        nonlocal found
        found = jobs(name)
        return len(found) >= at_least

    def over_or_hopeless() -> bool:
        nonlocal found, queued
        found = jobs(name)
        going = [job.id for job in found if not job.ended]
        queued = slurm.ask_queue(_run, jobs=going) if going else []
        # A job can have left the queue before accounting has all of it.
        return (not going and len(found) >= at_least) or any(job.reason in NEVER for job in queued)

    wanted = f"{at_least} jobs of that name" if at_least > 1 else "a job of that name"
    try:
        slurm.wait_politely(enough, name, seconds=APPEAR_SECONDS)
    except DeadlineExceeded:
        there = {0: "no job", 1: "one job"}.get(len(found), f"{len(found)} jobs")
        check(
            False,
            f"{there} named {name!r} that was submitted from this folder",
            wanted,
            "sacct -X --format=jobid,jobname%20,state,workdir%60",
        )
    with contextlib.suppress(DeadlineExceeded):
        slurm.wait_politely(over_or_hopeless, name, seconds=END_SECONDS)
    check(
        len(found) >= at_least,
        f"{len(found)} jobs named {name!r} in accounting",
        wanted,
        "run this check again",
    )
    for late in found:
        reason = next((job.reason for job in queued if job.id == late.id and job.state == "PENDING"), "")
        check(
            late.ended,
            f"job {late.id} ({name}) still {late.state}{f', {reason}' if reason else ''}",
            "a job that is over",
            f"squeue --jobs={late.id}; then run this check again",
        )
    return found


def script(job: Job) -> str:
    """The batch script of ``job`` as Slurm stored it at submission."""
    text = slurm.ask_batch_script(_run, job.raw_id)
    check(
        text,
        f"no stored batch script of job {job.id}",
        "a job submitted with sbatch",
        f"sacct -B -j {job.id}",
    )
    return text


def output_file(job: Job) -> Path:
    """Where ``job`` printed to."""
    return Path(job.folder) / slurm.output_path(job, slurm.ask_batch_script(_run, job.raw_id))


def output(job: Job) -> str:
    """What ``job`` printed."""
    return text(output_file(job))


def text(path: str | os.PathLike[str]) -> str:
    """The content of a text file below this folder."""
    where = Path(path)
    shown = os.fspath(path)
    if not where.is_absolute():
        where = Path.cwd() / where
    check(where.is_file(), f"no file {shown}", "that this file was written", "ls -l")
    with where.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    check(len(data) <= MOST_BYTES, f"{shown} is larger than {MOST_BYTES} bytes", "a short text file")
    return data.decode(errors="replace")


def job_id(path: str | os.PathLike[str]) -> str:
    """The job ID that a file holds, and nothing else."""
    content = text(path).strip()
    found = re.fullmatch(r"(\d+)(;\S+)?", content)
    check(
        found,
        f"{os.fspath(path)} holds {content[:60]!r}",
        "a job ID and nothing else",
        f"cat {os.fspath(path)}",
    )
    assert found
    return found[1]


def modified(path: str | os.PathLike[str]) -> float:
    """When a file was last written, in seconds since the epoch."""
    check(Path(path).is_file(), f"no file {os.fspath(path)}", "that this file was written", "ls -l")
    return Path(path).stat().st_mtime


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return shell.run(argv, step="asking Slurm", check=False)
