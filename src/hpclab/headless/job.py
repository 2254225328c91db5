"""A notebook as a batch job: submit, watch, bring back."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from hpclab import layout, slurm
from hpclab.errors import CommandFailed, DeadlineExceeded, HpclabError, UsageError
from hpclab.headless import artifacts
from hpclab.headless.artifacts import ArtifactLimits
from hpclab.headless.result import RunResult, summarize_run
from hpclab.shell import indented
from hpclab.slurm import Job, Runner

EXECUTED, LOG, SCRIPT = "executed.ipynb", "notebook.log", "notebook.sbatch"
GRACE_S = 180.0  # by which a job may outlive its limit: Slurm looks each half minute and then waits
PATIENCE_S = 120.0  # for which a controller may not answer: it is restarted now and then
NO_COMMAND = 127  # the shell's exit status for a program that is not there

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class NotebookJob:
    """One notebook to run, and the limits of its job.

    ``folder`` is made for the run, on a file system that the login node shares with the nodes; ``notebook`` must
    be readable there. ``options`` are for ``sbatch``, ``minutes`` is the job's time limit. The job may wait
    ``queue_s`` for its start, one cell may take ``cell_s``.
    """

    notebook: Path
    folder: str
    templates: Path = field(default_factory=lambda: layout.clone_folder() / "templates")
    lab: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Sequence[str] = ()
    minutes: int = 15
    cell_s: int = 600
    queue_s: float = 600.0
    limits: ArtifactLimits = field(default_factory=ArtifactLimits)

    @property
    def work(self) -> str:
        """The folder in which the notebook runs; ``../../templates`` is a copy of the course's."""
        return str(PurePosixPath(self.folder) / "work" / self.notebook.stem)


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended: its result and its files. ``artifacts`` is a tar archive."""

    result: RunResult
    executed: str = ""
    log: str = ""
    artifacts: bytes = b""
    limits: ArtifactLimits = field(default_factory=ArtifactLimits)

    def with_facts(self, **facts: Any) -> FinishedRun:
        """The same run with other facts in its result."""
        return dataclasses.replace(self, result=msgspec.structs.replace(self.result, **facts))


def run_notebook(
    job: NotebookJob,
    *,
    launch: Runner,
    progress: Progress = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
    slowest_poll_s: float = 10.0,
) -> FinishedRun:
    """Submit, wait, bring back. Whatever happens in the job is in the result and does not raise.

    ``pause`` waits between two looks, ``slowest_poll_s`` is the longest such pause. An exception
    from ``pause`` cancels the job. Raises HpclabError when the notebook cannot be submitted or the
    cluster is gone.
    """
    job_id = submit(job, launch)
    watch = JobWatch(job, job_id, launch, progress, pause, slowest_poll_s)
    try:
        record = watch.wait_until_ended()
    except BaseException:
        with contextlib.suppress(Exception):
            launch(["scancel", job_id])
        raise
    return collect(job, record, watch.problem, launch)


def submit(job: NotebookJob, launch: Runner) -> str:
    """Submit the notebook and return the job's ID. Raises UsageError when the folder exists, CommandFailed."""
    folder = PurePosixPath(job.folder)
    papermill = launch(["sh", "-c", "command -v papermill"])
    if papermill.returncode != 0:
        raise CommandFailed(
            f"papermill, which runs notebooks, is not on PATH where jobs are submitted{indented(papermill.stderr)}",
            "Start hpclab from the course's environment (make setup), or install papermill into the one in use.",
        )
    _launch_checked(launch, ["mkdir", "-p", str(folder.parent)], "making the folder of the run")
    if launch(["mkdir", str(folder)]).returncode != 0:
        raise UsageError(f"{folder} exists already, or cannot be made", "Name a new folder for this run.")
    _launch_checked(launch, ["mkdir", "-p", job.work], "making the folder of the run")
    _launch_checked(
        launch, ["cp", os.fspath(job.notebook), str(folder / "notebook.ipynb")], "copying the notebook"
    )
    _launch_checked(
        launch, ["cp", "-R", os.fspath(job.templates), str(folder / "templates")], "copying templates"
    )
    options = [
        f"--job-name={job.notebook.stem}",
        f"--chdir={job.work}",
        f"--output={folder / LOG}",
        f"--time={job.minutes}",
        *job.options,
    ]
    arguments = [
        str(folder / "notebook.ipynb"),
        str(folder / EXECUTED),
        f"--cwd={job.work}",
        f"--execution-timeout={job.cell_s}",
    ]
    if job.parameters:
        encoded = base64.b64encode(json.dumps(dict(job.parameters)).encode()).decode()
        arguments.append(f"--parameters_base64={encoded}")
    answer = _launch_checked(
        launch,
        slurm.sbatch_argv(os.fspath(job.templates / SCRIPT), options, arguments),
        "submitting the notebook",
    )
    try:
        return slurm.parse_submitted(answer)
    except ValueError as problem:
        raise CommandFailed(
            f"submitting the notebook: {problem}", "Try the sbatch command by hand."
        ) from None


class JobWatch:
    """Polls one job, less and less often, until it has ended or one of its deadlines has passed."""

    def __init__(
        self,
        job: NotebookJob,
        job_id: str,
        launch: Runner,
        progress: Progress,
        pause: Callable[[float], object],
        slowest_poll_s: float,
    ) -> None:
        self.job, self.job_id, self.launch = job, job_id, launch
        self.progress, self.pause, self.slowest_poll_s = progress, pause, slowest_poll_s
        self.problem: HpclabError | None = None  # why the job was cancelled, if it was from here
        self._cells = _count_cells(job.notebook)

    def wait_until_ended(self) -> Job:
        """The job's record once it has ended, by itself or cancelled because it was too late."""
        poll_s = 0.25
        submitted = answered = time.monotonic()
        started: float | None = None
        cancelled = 0.0
        record = Job(id=self.job_id, raw_id=self.job_id, name="", state="PENDING")
        while True:
            try:
                record = self._look(record)
                answered = time.monotonic()
            except (CommandFailed, DeadlineExceeded):
                if time.monotonic() - answered > PATIENCE_S:
                    raise
            now = time.monotonic()
            if record.ended:
                return record
            if record.state != "PENDING" and started is None:
                started = now
            if self.problem is None:
                self.problem = self._too_late(
                    record, now - submitted, None if started is None else now - started
                )
                if self.problem:
                    self.launch(["scancel", self.job_id])
                    cancelled = now
            elif now - cancelled > PATIENCE_S:
                return record
            self.pause(poll_s)
            poll_s = min(poll_s * 1.5, self.slowest_poll_s)

    def _look(self, before: Job) -> Job:
        """The job as the queue and then accounting know it. The reason why it waits is the queue's."""
        for record in slurm.query_queue(self.launch, jobs=[self.job_id]):
            if not record.ended:
                self.progress(self._describe(record))
                return record
        for record in slurm.query_accounting(self.launch, jobs=[self.job_id]):
            return record
        return before

    def _describe(self, record: Job) -> str:
        if record.state == "PENDING":
            return f"job {record.id} waits: {record.reason or 'not looked at yet'}"
        if record.state != "RUNNING":
            return f"job {record.id} {record.state.lower()}"
        log = str(PurePosixPath(self.job.folder) / LOG)
        cells = self.launch(
            ["grep", "--text", "--only-matching", "Executing Cell [0-9]*", log]
        ).stdout.split()
        cell = f", cell {cells[-1]} of {self._cells}" if cells else ""
        return f"job {record.id} runs on {record.nodes}{cell}"

    def _too_late(self, record: Job, waited_s: float, ran_s: float | None) -> HpclabError | None:
        if ran_s is None:
            if waited_s <= self.job.queue_s:
                return None
            return DeadlineExceeded(
                f"job {record.id} did not start within {self.job.queue_s:g} s and was cancelled;"
                f" it waited for: {record.reason or 'a reason that Slurm does not name'}",
                "The reason is Slurm's own (man squeue, JOB REASON CODES). --queue-minutes waits longer.",
            )
        if ran_s <= self.job.minutes * 60 + GRACE_S:
            return None
        return DeadlineExceeded(
            f"job {record.id} was still {record.state} {ran_s:.0f} s after its start, with a limit of"
            f" {self.job.minutes} min, and was cancelled",
            "Slurm did not end it in time: look at its node with scontrol show node.",
        )


def collect(job: NotebookJob, record: Job, problem: HpclabError | None, launch: Runner) -> FinishedRun:
    """Bring back what the run left."""
    folder = PurePosixPath(job.folder)
    executed = launch(["cat", str(folder / EXECUTED)])
    log = launch(["cat", str(folder / LOG)]).stdout
    text = executed.stdout if executed.returncode == 0 else ""
    kept, skipped = artifacts.select_files(artifacts.list_files(job.work, launch), job.limits)
    result = msgspec.structs.replace(
        summarize_run(record, job.folder, text, log, _read_text(job.notebook)),
        lab=job.lab or job.notebook.stem,
        jobs=_submitted_jobs(job, record, launch),
        skipped=skipped,
        problem=problem.problem if problem else "",
        remedy=problem.remedy if problem else "",
    )
    return FinishedRun(result, text, log, artifacts.fetch(job.work, kept, launch), job.limits)


def _submitted_jobs(job: NotebookJob, record: Job, launch: Runner) -> list[str]:
    """The jobs that the notebook submitted: those whose folder is in its own."""
    minutes = math.ceil((record.elapsed or 0) / 60) + 10
    try:
        jobs = slurm.query_accounting(launch, since=f"now-{minutes}minutes")
    except CommandFailed:
        return []  # sacct is unavailable; the result does not depend on it
    return [
        other.id
        for other in jobs
        if other.id != record.id and PurePosixPath(other.folder).is_relative_to(job.work)
    ]


def _count_cells(notebook: Path) -> int:
    try:
        return len(json.loads(_read_text(notebook))["cells"])
    except (ValueError, KeyError, TypeError):
        return 0


def _read_text(notebook: Path) -> str:
    try:
        return notebook.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _launch_checked(launch: Runner, argv: Sequence[str], step: str) -> str:
    done = launch(argv)
    if done.returncode == NO_COMMAND:
        raise CommandFailed(
            f"{step}: there is no {argv[0]} here{indented(done.stderr.strip())}",
            "At a site, hpclab run is for a login node. --site local brings its own cluster.",
        )
    if done.returncode != 0:
        raise CommandFailed(
            f"{step}: exit status {done.returncode} from {argv[0]}{indented(done.stderr.strip())}",
            "A refusal by Slurm names its reason above; hpclab site env SITE shows what this site asks for.",
        )
    return done.stdout
