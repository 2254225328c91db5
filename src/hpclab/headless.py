"""Run one notebook as a batch job, and say what came of it.

Everything on the cluster is done through ``launch``, a callable that runs a
command on its login node: a plain run at a real site, ``hpclab exec`` for the
embedded cluster. So the same code serves both, whoever owns the files there.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from hpclab import layout, slurm
from hpclab.errors import CommandFailed, DeadlineExceeded, NotebookFailed, UsageError
from hpclab.files import write_whole
from hpclab.shell import indented
from hpclab.slurm import Job, Runner

EXECUTED, LOG, RESULT = "executed.ipynb", "notebook.log", "result.json"
HIDDEN_TAG = "hidden-tests"  # a cell that only stands for tests which are not there
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Mark(msgspec.Struct, frozen=True):
    """What one test cell gave, and what it said when it failed."""

    task: str
    points: float
    earned: float
    said: str = ""


class Failure(msgspec.Struct, frozen=True):
    """The first cell that failed, tests aside: its id, its number in the notebook, the error."""

    cell: str
    number: int
    error: str
    source: str
    printed: str  # the end of what the cell printed: a shell cell's reason is there


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One headless run. ``folder`` is where its artifacts lie on the cluster."""

    job: str
    state: str
    exit_code: int | None
    elapsed_seconds: int | None
    node: str
    folder: str
    marks: list[Mark]
    failure: Failure | None
    log_end: str

    @property
    def earned(self) -> float:
        return sum(mark.earned for mark in self.marks)

    @property
    def points(self) -> float:
        return sum(mark.points for mark in self.marks)

    @property
    def ok(self) -> bool:
        """Whether the job completed, no cell failed and every test passed."""
        return self.state == "COMPLETED" and self.failure is None and self.earned == self.points

    def sentence(self) -> str:
        """The run in one line."""
        marks = f", {self.earned:g}/{self.points:g} points" if self.marks else ""
        return f"job {self.job} {self.state} on {self.node or 'no node'} in {self.elapsed_seconds} s{marks}"


def submit(
    notebook: Path,
    folder: str,
    *,
    launch: Runner,
    parameters: Mapping[str, Any] | None = None,
    minutes: int = 15,
    options: Sequence[str] = (),
) -> str:
    """Submit ``notebook`` as a batch job and return the job's ID.

    ``folder`` is made for the run, on a file system that the login node shares
    with the nodes; the notebook must be readable there. ``options`` are for
    ``sbatch``. Raises UsageError when the folder is there, CommandFailed.
    """
    where = PurePosixPath(folder)
    work = where / "work"
    _do(launch, ["mkdir", "-p", str(where.parent)], "making the folder of the run")
    if launch(["mkdir", str(where)]).returncode != 0:
        raise UsageError(f"{where} is there already, or cannot be made", "Name a new folder for this run.")
    _do(launch, ["mkdir", str(work)], "making the folder of the run")
    _do(launch, ["cp", os.fspath(notebook), str(where / "notebook.ipynb")], "copying the notebook")
    script = layout.course() / "templates" / "notebook.sbatch"
    chosen = [
        f"--job-name={notebook.stem}",
        f"--chdir={work}",
        f"--output={where / LOG}",
        f"--time={minutes}",
        *options,
    ]
    arguments = [str(where / "notebook.ipynb"), str(where / EXECUTED), f"--cwd={work}"]
    if parameters:
        coded = base64.b64encode(json.dumps(dict(parameters)).encode()).decode()
        arguments.append(f"--parameters_base64={coded}")
    said = _do(launch, slurm.sbatch_argv(str(script), chosen, arguments), "submitting the notebook")
    try:
        return slurm.parse_submitted(said)
    except ValueError as problem:
        raise CommandFailed(
            f"submitting the notebook: {problem}", "Try the sbatch command by hand."
        ) from None


def watch(job: str, *, launch: Runner, seconds: float, report: Callable[[Job], None] | None = None) -> Job:
    """Wait for the end of ``job``. On a deadline or Ctrl-C the job is cancelled."""
    try:
        return slurm.wait_for_end(launch, job, seconds=seconds, report=report)
    except (DeadlineExceeded, KeyboardInterrupt):
        launch(["scancel", job])
        raise


def collect(job: Job, folder: str, out: Path, *, launch: Runner) -> Result:
    """Bring the executed notebook and the log to ``out``, and write the result beside them."""
    where = PurePosixPath(folder)
    executed = launch(["cat", str(where / EXECUTED)])
    log = launch(["cat", str(where / LOG)])
    result = summary(job, folder, executed.stdout if executed.returncode == 0 else "", log.stdout)
    if executed.returncode == 0:
        write_whole(out / EXECUTED, executed.stdout.encode())
    write_whole(out / LOG, log.stdout.encode())
    write_whole(out / RESULT, msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return result


def run(
    notebook: Path,
    folder: str,
    out: Path,
    *,
    launch: Runner,
    parameters: Mapping[str, Any] | None = None,
    minutes: int = 15,
    options: Sequence[str] = (),
    queue_seconds: float = 600.0,
    report: Callable[[Job], None] | None = None,
) -> Result:
    """Submit, wait, collect. The wait's deadline is the queue's plus the job's own limit."""
    job = submit(notebook, folder, launch=launch, parameters=parameters, minutes=minutes, options=options)
    ended = watch(job, launch=launch, seconds=queue_seconds + minutes * 60, report=report)
    return collect(ended, folder, out, launch=launch)


def require(result: Result, out: Path) -> None:
    """Raise NotebookFailed unless all went well: the cell, the error, the end of the log."""
    if result.ok:
        return
    said = [result.sentence()]
    if result.failure:
        at = f"cell {result.failure.number} ({result.failure.cell})"
        said.append(f"{at} failed:{indented(result.failure.source)}\n{at} ended with: {result.failure.error}")
        if result.failure.printed:
            said.append(f"{at} printed:{indented(result.failure.printed)}")
    for mark in result.marks:
        if mark.earned < mark.points:
            said.append(f"{mark.task}: {mark.earned:g} of {mark.points:g} points{indented(mark.said)}")
    if result.log_end and (result.failure or result.state != "COMPLETED"):
        said.append(f"the end of {out / LOG}:{indented(result.log_end)}")
    raise NotebookFailed("\n".join(said), f"The executed notebook, as far as it came: {out / EXECUTED}")


def summary(job: Job, folder: str, executed: str, log: str) -> Result:
    """The result of a run from its accounting record, executed notebook and log. Pure."""
    try:
        cells = json.loads(executed)["cells"] if executed else []
    except (ValueError, KeyError, TypeError):
        cells = []  # the job was stopped while papermill wrote the file
    # papermill adds cells of its own where a cell failed; people count without them.
    cells = [cell for cell in cells if "papermill-error-cell-tag" not in _tags(cell)]
    return Result(
        job=job.id,
        state=job.state,
        exit_code=job.exit_code,
        elapsed_seconds=job.elapsed,
        node=job.nodes,
        folder=folder,
        marks=[_mark(cell) for cell in cells if _nbgrader(cell).get("grade")],
        failure=next(
            (
                _failure(cell, number)
                for number, cell in enumerate(cells, 1)
                if _error(cell) and not _nbgrader(cell).get("grade")
            ),
            None,
        ),
        log_end="\n".join(ANSI.sub("", log).splitlines()[-15:]),
    )


def _failure(cell: Mapping[str, Any], number: int) -> Failure:
    printed = "".join(
        "".join(output.get("text", ""))
        for output in cell.get("outputs", [])
        if output.get("output_type") == "stream"
    )
    return Failure(
        cell=cell.get("id", ""),
        number=number,
        error=_error(cell),
        source="".join(cell.get("source", "")),
        printed="\n".join(ANSI.sub("", printed).splitlines()[-15:]),
    )


def _mark(cell: Mapping[str, Any]) -> Mark:
    """The points of a test cell that ran to its end without an error; a cell that never ran earns none."""
    mark = _nbgrader(cell)
    points = float(mark.get("points", 0))
    error = _error(cell)
    ran = cell["metadata"].get("papermill", {}).get("status") == "completed"
    if error or not ran or HIDDEN_TAG in _tags(cell):
        said = error or ("not run" if not ran else "checked when the work is marked")
        return Mark(mark["grade_id"], points, 0.0, said)
    return Mark(mark["grade_id"], points, points)


def _error(cell: Mapping[str, Any]) -> str:
    for output in cell.get("outputs", []):
        if output.get("output_type") == "error":
            return ANSI.sub("", f"{output.get('ename', '')}: {output.get('evalue', '')}")
    return ""


def _nbgrader(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = cell.get("metadata", {}).get("nbgrader", {})
    return found


def _tags(cell: Mapping[str, Any]) -> Sequence[str]:
    tags: Sequence[str] = cell.get("metadata", {}).get("tags", [])
    return tags


def _do(launch: Runner, argv: Sequence[str], step: str) -> str:
    done = launch(argv)
    if done.returncode != 0:
        raise CommandFailed(
            f"{step}: exit status {done.returncode} from {argv[0]}{indented(done.stderr.strip())}",
            "A refusal by Slurm names its reason above; hpclab site env SITE shows what this site asks for.",
        )
    return done.stdout
