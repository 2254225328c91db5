"""A round of grading as one Slurm job array: submit it, watch it, find it again, cancel it.

A job is identified by the UUID in its comment, not only by its number: after a crash Slurm can reuse a number.
While watching, results are read from the file system often; the controller, a shared resource, is queried
rarely.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hpclab import slurm
from hpclab.errors import CommandFailed, DeadlineExceeded
from hpclab.grading.batch import Batch, seconds_of
from hpclab.shell import indented
from hpclab.slurm import Job, Runner

PATIENCE = 180.0  # seconds for which the controller may not answer, for example during a restart
# Reasons for which a job starts only after a person intervenes: its submissions go into a new job.
STUCK = ("held", "Held", "DependencyNeverSatisfied", "BadConstraints")


def submit(
    launch: Runner,
    script: Path,
    spool: Path,
    batch: Batch,
    number: int,
    shared: Sequence[Sequence[str]],
    at_once: int,
    options: Sequence[str] = (),
    image: Path | None = None,
) -> str:
    """Submit round ``number``, ``at_once`` of its tasks at a time; returns the job ID. Raises CommandFailed.

    ``shared`` lists the students of each task; ``image`` is the Apptainer image in which they run.
    """
    seconds = seconds_of(batch, shared)
    flags = [
        f"--job-name=grade-{batch.lab[:40]}",
        f"--comment={batch.uuid}",
        f"--array=0-{len(shared) - 1}%{at_once}",
        f"--chdir={spool}",
        f"--output={spool}/log/{number}-%a.log",
        f"--mem={batch.needs.memory_mib}",
        f"--cpus-per-task={batch.needs.cpus}",
        f"--time={math.ceil(seconds / 60)}",
        *options,
    ]
    done = launch(
        slurm.sbatch_argv(str(script), flags, [sys.executable, str(spool), str(number), str(image or "")])
    )
    if done.returncode != 0:
        raise CommandFailed(
            f"submitting the job array: exit status {done.returncode}{indented(done.stderr.strip())}",
            "The reason is Slurm's own. --account, --qos and --sbatch name what this site asks for;"
            " `hpclab site env SITE` shows it.",
        )
    try:
        return slurm.parse_submitted(done.stdout)
    except ValueError as problem:
        raise CommandFailed(f"submitting the job array: {problem}", "Try sbatch by hand.") from None


def waiting(launch: Runner, batch: Batch) -> list[Job]:
    """Return the tasks of this batch's arrays that have not ended, by the UUID in their comment."""
    me = launch(["id", "-un"]).stdout.strip()
    return [job for job in slurm.query_queue(launch, user=me) if job.comment == batch.uuid and not job.ended]


def cancel(launch: Runner, jobs: Sequence[Job]) -> None:
    """Cancel these tasks; ignores those that have ended meanwhile."""
    if jobs:
        launch(
            ["scancel", *sorted({job.id if job.array_index is not None else job.array_id for job in jobs})]
        )


def watch(
    launch: Runner,
    batch: Batch,
    done: Callable[[], int],
    say: Callable[[str], None],
    pause: Callable[[float], object],
    *,
    queued: float,
    slowest: float,
) -> None:
    """Wait until none of the batch's tasks is left in the queue. Any exception from ``pause`` cancels them.

    ``done`` reads new results and returns how many there are. Tasks that can't start are cancelled. ``queued`` is
    how many seconds may pass without any task starting. Raises DeadlineExceeded, CommandFailed.
    """
    wait, known = 0.25, -1
    answered = quiet = time.monotonic()
    try:
        while True:
            try:
                left = waiting(launch, batch)
                answered = time.monotonic()
            except (CommandFailed, DeadlineExceeded):
                if time.monotonic() - answered > PATIENCE:
                    raise
                left = None
            results = done()
            if left == []:
                return
            if results != known:
                known, wait = results, 0.25
            if left is not None:
                stuck = [job for job in left if any(word in job.reason for word in STUCK)]
                cancel(launch, stuck)
                if any(job.state != "PENDING" for job in left):
                    quiet = time.monotonic()
                say(_progress(left))
                if time.monotonic() - quiet > queued:
                    raise DeadlineExceeded(
                        f"no task of the job array started within {queued:g} s;"
                        f" it waited for: {left[0].reason or 'a reason that Slurm does not name'}",
                        "Start the command again later: it goes on where it was. --queue-minutes waits longer.",
                    )
            pause(wait)
            wait = min(wait * 1.5, slowest)
    except BaseException:
        with contextlib.suppress(Exception):
            cancel(launch, waiting(launch, batch))
        raise


def _progress(left: Sequence[Job]) -> str:
    running = sum(1 for job in left if job.state in ("RUNNING", "COMPLETING"))
    if running:
        return f"{running} task{'s' if running > 1 else ''} running"
    return f"waiting for: {left[0].reason or 'a first look by the scheduler'}"
