"""Ask Slurm, and wait for it politely, through a runner that the caller hands in.

So the same code works on a login node and through ``hpclab exec``.
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
    batch_script_argv,
    held_script_argv,
    sacct_argv,
    squeue_argv,
    steps_argv,
)
from hpclab.slurm.jobs import Job, Step
from hpclab.slurm.parse import attempts, latest, parse_batch_script, parse_sacct, parse_squeue, parse_steps

Runner = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
T = TypeVar("T")


def ask_accounting(
    run: Runner, *, jobs: Sequence[str] = (), names: Sequence[str] = (), user: str = "", since: str = ""
) -> list[Job]:
    """The newest attempt of each job that fits. An unknown job is simply not in the list.

    Shortly after its end a job may lack its name and folder: Slurm adds them a second or two later.
    """
    separator = _unguessable()
    argv = sacct_argv(jobs=jobs, names=names, user=user, since=since, separator=separator)
    return latest(parse_sacct(_stdout(run, argv), separator))


def ask_attempts(run: Runner, job: Job) -> list[Job]:
    """Every attempt of ``job``, the oldest first."""
    separator = _unguessable()
    which = job.id if "[" not in job.id else job.array_id
    return attempts(
        parse_sacct(_stdout(run, sacct_argv(jobs=[which], separator=separator)), separator), job.id
    )


def ask_steps(run: Runner, job: Job) -> list[Step]:
    """The steps of this attempt of ``job``: the batch script and every ``srun`` that accounting has heard of."""
    separator = _unguessable()
    return parse_steps(_stdout(run, steps_argv(job.id, separator=separator)), job, separator)


def ask_queue(run: Runner, *, jobs: Sequence[str] = (), user: str = "", recent: bool = False) -> list[Job]:
    """The jobs that are not over, with ``recent`` also those that ended some minutes ago.

    A job that Slurm has forgotten is simply not in the list.
    """
    separator = _unguessable()
    done = run(squeue_argv(jobs=jobs, user=user, recent=recent, separator=separator))
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        raise _failed("squeue", done)
    return parse_squeue(done.stdout, separator)


def ask_batch_script(run: Runner, job: str) -> str:
    """The script of ``job`` (its ID as people write it) as accounting keeps it; empty where it keeps none."""
    return parse_batch_script(_stdout(run, batch_script_argv(job)))


def ask_held_script(run: Runner, job: str) -> str:
    """The script of ``job`` as the controller keeps it; empty where it has forgotten the job."""
    done = run(held_script_argv(job))
    return done.stdout if done.returncode == 0 else ""


def wait_politely(
    probe: Callable[[], T | None], what: str, *, seconds: float, first: float = 0.25, most: float = 10.0
) -> T:
    """Like ``shell.wait_until``, with pauses that double: a cluster's controller serves everybody."""
    end = time.monotonic() + seconds
    pause = first
    while True:
        if found := probe():
            return found
        left = end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"waited {seconds:g} s for {what}")
        time.sleep(min(pause, left))
        pause = min(pause * 2, most)


def _unguessable() -> str:
    """A separator that nobody can have put into a job's name to forge a record."""
    return f"{SEPARATOR}{secrets.token_hex(4)}{SEPARATOR}"


def _stdout(run: Runner, argv: Sequence[str]) -> str:
    done = run(argv)
    if done.returncode != 0:
        raise _failed(shlex.join(argv), done)
    return done.stdout


def _failed(what: str, done: subprocess.CompletedProcess[str]) -> CommandFailed:
    return CommandFailed(
        f"exit status {done.returncode} from: {what}{indented(done.stderr.strip())}",
        "Is this a login node, and does the cluster answer? Try: scontrol ping",
    )
