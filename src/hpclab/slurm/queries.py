"""Queries to Slurm and waits for it, through a command runner that the caller passes.

The same code works on a login node and through ``hpclab exec``.
"""

from __future__ import annotations

import secrets
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from hpclab.errors import CommandFailed, DeadlineExceeded
from hpclab.shell import indented
from hpclab.slurm.commands import (
    SEPARATOR,
    controller_script_argv,
    sacct_argv,
    squeue_argv,
    steps_argv,
    stored_script_argv,
)
from hpclab.slurm.jobs import Job, Step
from hpclab.slurm.parse import (
    parse_batch_script,
    parse_sacct,
    parse_squeue,
    parse_steps,
    select_attempts,
    select_latest,
)

Runner = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
T = TypeVar("T")


def query_accounting(
    run: Runner, *, jobs: Sequence[str] = (), names: Sequence[str] = (), user: str = "", since: str = ""
) -> list[Job]:
    """Return the newest attempt of each matching job from sacct; an unknown job is left out.

    Shortly after its end a job may lack its name and folder; Slurm adds them one or two seconds later.
    """
    separator = _random_separator()
    argv = sacct_argv(jobs=jobs, names=names, user=user, since=since, separator=separator)
    return select_latest(parse_sacct(_run_for_stdout(run, argv), separator))


def query_attempts(run: Runner, job: Job) -> list[Job]:
    """Return every attempt of ``job`` from sacct, the oldest first."""
    separator = _random_separator()
    job_id = job.id if "[" not in job.id else job.array_id
    return select_attempts(
        parse_sacct(_run_for_stdout(run, sacct_argv(jobs=[job_id], separator=separator)), separator), job.id
    )


def query_steps(run: Runner, job: Job) -> list[Step]:
    """Return the steps of this attempt of ``job`` from sacct: the batch script and every ``srun``."""
    separator = _random_separator()
    return parse_steps(_run_for_stdout(run, steps_argv(job.id, separator=separator)), job, separator)


def query_queue(run: Runner, *, jobs: Sequence[str] = (), user: str = "", recent: bool = False) -> list[Job]:
    """Return the jobs in squeue that have not ended; with ``recent`` also those that ended some minutes ago.

    A job that the controller no longer knows is left out.
    """
    separator = _random_separator()
    done = run(squeue_argv(jobs=jobs, user=user, recent=recent, separator=separator))
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        raise _command_failed("squeue", done)
    return parse_squeue(done.stdout, separator)


def query_stored_script(run: Runner, job: str) -> str:
    """Return the script of ``job`` (an id such as ``12_3``) from accounting; empty if none is stored."""
    return parse_batch_script(_run_for_stdout(run, stored_script_argv(job)))


def query_controller_script(run: Runner, job: str) -> str:
    """Return the script of ``job`` from the controller; empty if it no longer knows the job."""
    done = run(controller_script_argv(job))
    return done.stdout if done.returncode == 0 else ""


def wait_with_backoff(
    probe: Callable[[], T | None],
    what: str,
    *,
    seconds: float,
    first_pause_s: float = 0.25,
    max_pause_s: float = 10.0,
) -> T:
    """Like ``shell.wait_until``, with pauses that double, to spare the controller. Raises DeadlineExceeded."""
    end = time.monotonic() + seconds
    pause = first_pause_s
    while True:
        if found := probe():
            return found
        remaining_s = end - time.monotonic()
        if remaining_s <= 0:
            raise DeadlineExceeded(f"waited {seconds:g} s for {what}")
        time.sleep(min(pause, remaining_s))
        pause = min(pause * 2, max_pause_s)


def _random_separator() -> str:
    """A separator that cannot be guessed, so that a job's name cannot forge a record."""
    return f"{SEPARATOR}{secrets.token_hex(4)}{SEPARATOR}"


def _run_for_stdout(run: Runner, argv: Sequence[str]) -> str:
    done = run(argv)
    if done.returncode != 0:
        raise _command_failed(shlex.join(argv), done)
    return done.stdout


def _command_failed(what: str, done: subprocess.CompletedProcess[str]) -> CommandFailed:
    return CommandFailed(
        f"exit status {done.returncode} from: {what}{indented(done.stderr.strip())}",
        "Run this on a login node, and check that the cluster answers: scontrol ping",
    )
