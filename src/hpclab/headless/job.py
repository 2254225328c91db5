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
from hpclab.headless.artifacts import Limits
from hpclab.headless.result import Result, summary
from hpclab.shell import indented
from hpclab.slurm import Job, Runner

EXECUTED, LOG, SCRIPT = "executed.ipynb", "notebook.log", "notebook.sbatch"
GRACE = 180.0  # seconds by which a job may outlive its limit: Slurm looks each half minute and then waits
PATIENCE = 120.0  # seconds for which a controller may not answer: it is restarted now and then
NO_COMMAND = 127  # the shell's exit status for a program that is not there

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """One notebook to run. Times in seconds but for ``minutes``, the job's limit.

    ``folder`` is made for the run, on a file system that the login node shares with the
    nodes; ``notebook`` must be readable there. ``options`` are for ``sbatch``. ``queued`` is how
    long the job may wait for its start, ``cell`` how long one cell may take.
    """

    notebook: Path
    folder: str
    templates: Path = field(default_factory=lambda: layout.clone_folder() / "templates")
    lab: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Sequence[str] = ()
    minutes: int = 15
    cell: int = 600
    queued: float = 600.0
    limits: Limits = field(default_factory=Limits)

    @property
    def work(self) -> str:
        """The folder in which the notebook runs; ``../../templates`` is a copy of the course's."""
        return str(PurePosixPath(self.folder) / "work" / self.notebook.stem)


@dataclass(frozen=True)
class Run:
    """A run that is over: the result, and what it left. ``artifacts`` is a tar archive."""

    result: Result
    executed: str = ""
    log: str = ""
    artifacts: bytes = b""
    limits: Limits = field(default_factory=Limits)

    def with_(self, **facts: Any) -> Run:
        """The same run with other facts in its result."""
        return dataclasses.replace(self, result=msgspec.structs.replace(self.result, **facts))


def run(
    order: Order,
    *,
    launch: Runner,
    report: Report = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
    slowest: float = 10.0,
) -> Run:
    """Submit, wait, bring back. Nothing that happens in the job raises; it is in the result.

    ``report`` gets what goes on, in words. ``pause`` is how to wait between two looks, ``slowest``
    the longest such pause: whatever ``pause`` raises cancels the job. Raises HpclabError when the
    notebook cannot be submitted or the cluster is gone.
    """
    job = submit(order, launch)
    watch = Watch(order, job, launch, report, pause, slowest)
    try:
        ended = watch.until_over()
    except BaseException:
        with contextlib.suppress(Exception):
            launch(["scancel", job])
        raise
    return collect(order, ended, watch.problem, launch)


def submit(order: Order, launch: Runner) -> str:
    """Submit the notebook and return the job's ID. Raises UsageError when the folder is there, CommandFailed."""
    where = PurePosixPath(order.folder)
    found = launch(["sh", "-c", "command -v papermill"])
    if found.returncode != 0:
        raise CommandFailed(
            f"papermill, which runs notebooks, is not on PATH where jobs are submitted{indented(found.stderr)}",
            "Start hpclab from the course's environment (make setup), or install papermill into the one in use.",
        )
    _do(launch, ["mkdir", "-p", str(where.parent)], "making the folder of the run")
    if launch(["mkdir", str(where)]).returncode != 0:
        raise UsageError(f"{where} is there already, or cannot be made", "Name a new folder for this run.")
    _do(launch, ["mkdir", "-p", order.work], "making the folder of the run")
    _do(launch, ["cp", os.fspath(order.notebook), str(where / "notebook.ipynb")], "copying the notebook")
    _do(launch, ["cp", "-R", os.fspath(order.templates), str(where / "templates")], "copying templates")
    chosen = [
        f"--job-name={order.notebook.stem}",
        f"--chdir={order.work}",
        f"--output={where / LOG}",
        f"--time={order.minutes}",
        *order.options,
    ]
    arguments = [
        str(where / "notebook.ipynb"),
        str(where / EXECUTED),
        f"--cwd={order.work}",
        f"--execution-timeout={order.cell}",
    ]
    if order.parameters:
        coded = base64.b64encode(json.dumps(dict(order.parameters)).encode()).decode()
        arguments.append(f"--parameters_base64={coded}")
    said = _do(
        launch,
        slurm.sbatch_argv(os.fspath(order.templates / SCRIPT), chosen, arguments),
        "submitting the notebook",
    )
    try:
        return slurm.parse_submitted(said)
    except ValueError as problem:
        raise CommandFailed(
            f"submitting the notebook: {problem}", "Try the sbatch command by hand."
        ) from None


class Watch:
    """Looks at one job, politely, until it is over or one of its deadlines has passed."""

    def __init__(
        self,
        order: Order,
        job: str,
        launch: Runner,
        report: Report,
        pause: Callable[[float], object],
        slowest: float,
    ) -> None:
        self.order, self.job, self.launch = order, job, launch
        self.report, self.pause, self.slowest = report, pause, slowest
        self.problem: HpclabError | None = None  # why the job was cancelled, if it was from here
        self._cells = _count(order.notebook)

    def until_over(self) -> Job:
        """The job once it has ended, by itself or cancelled because it was too late."""
        wait = 0.25
        begun = heard = time.monotonic()
        started: float | None = None
        cancelled = 0.0
        seen = Job(id=self.job, raw_id=self.job, name="", state="PENDING")
        while True:
            try:
                seen = self._look(seen)
                heard = time.monotonic()
            except (CommandFailed, DeadlineExceeded):
                if time.monotonic() - heard > PATIENCE:
                    raise
            now = time.monotonic()
            if seen.ended:
                return seen
            if seen.state != "PENDING" and started is None:
                started = now
            if self.problem is None:
                self.problem = self._too_late(seen, now - begun, None if started is None else now - started)
                if self.problem:
                    self.launch(["scancel", self.job])
                    cancelled = now
            elif now - cancelled > PATIENCE:
                return seen
            self.pause(wait)
            wait = min(wait * 1.5, self.slowest)

    def _look(self, before: Job) -> Job:
        """The job as the queue and then accounting know it. The reason why it waits is the queue's."""
        for found in slurm.query_queue(self.launch, jobs=[self.job]):
            if not found.ended:
                self.report(self._say(found))
                return found
        for found in slurm.query_accounting(self.launch, jobs=[self.job]):
            return found
        return before

    def _say(self, job: Job) -> str:
        if job.state == "PENDING":
            return f"job {job.id} waits: {job.reason or 'not looked at yet'}"
        if job.state != "RUNNING":
            return f"job {job.id} {job.state.lower()}"
        log = str(PurePosixPath(self.order.folder) / LOG)
        began = self.launch(
            ["grep", "--text", "--only-matching", "Executing Cell [0-9]*", log]
        ).stdout.split()
        at = f", cell {began[-1]} of {self._cells}" if began else ""
        return f"job {job.id} runs on {job.nodes}{at}"

    def _too_late(self, job: Job, waited: float, ran: float | None) -> HpclabError | None:
        if ran is None:
            if waited <= self.order.queued:
                return None
            return DeadlineExceeded(
                f"job {job.id} did not start within {self.order.queued:g} s and was cancelled;"
                f" it waited for: {job.reason or 'a reason that Slurm does not name'}",
                "The reason is Slurm's own (man squeue, JOB REASON CODES). --queue-minutes waits longer.",
            )
        if ran <= self.order.minutes * 60 + GRACE:
            return None
        return DeadlineExceeded(
            f"job {job.id} was still {job.state} {ran:.0f} s after its start, with a limit of"
            f" {self.order.minutes} min, and was cancelled",
            "Slurm did not end it in time: look at its node with scontrol show node.",
        )


def collect(order: Order, job: Job, problem: HpclabError | None, launch: Runner) -> Run:
    """Bring back what the run left."""
    where = PurePosixPath(order.folder)
    executed = launch(["cat", str(where / EXECUTED)])
    log = launch(["cat", str(where / LOG)]).stdout
    text = executed.stdout if executed.returncode == 0 else ""
    kept, skipped = artifacts.choose(artifacts.listed(order.work, launch), order.limits)
    result = msgspec.structs.replace(
        summary(job, order.folder, text, log, _text(order.notebook)),
        lab=order.lab or order.notebook.stem,
        jobs=_submitted(order, job, launch),
        skipped=skipped,
        problem=problem.problem if problem else "",
        remedy=problem.remedy if problem else "",
    )
    return Run(result, text, log, artifacts.fetch(order.work, kept, launch), order.limits)


def _submitted(order: Order, notebook: Job, launch: Runner) -> list[str]:
    """The jobs that the notebook submitted: those whose folder is in its own."""
    minutes = math.ceil((notebook.elapsed or 0) / 60) + 10
    try:
        found = slurm.query_accounting(launch, since=f"now-{minutes}minutes")
    except CommandFailed:
        return []  # accounting has an off day; the run itself is not the worse for it
    inside = [
        job for job in found if job.id != notebook.id and PurePosixPath(job.folder).is_relative_to(order.work)
    ]
    return [job.id for job in inside]


def _count(notebook: Path) -> int:
    try:
        return len(json.loads(_text(notebook))["cells"])
    except (ValueError, KeyError, TypeError):
        return 0


def _text(notebook: Path) -> str:
    try:
        return notebook.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _do(launch: Runner, argv: Sequence[str], step: str) -> str:
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
