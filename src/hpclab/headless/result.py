"""The result of a run, from its accounting record, its executed notebook and its log. Pure.

papermill's own status of a cell is not enough. When a kernel dies or a cell hangs it calls
*every* cell "completed", the ones that never ran too (2.7.0, NotebookExecutionManager.
notebook_complete). So a cell has run when it has a start and an end, and a run that
ended early ended in the last cell that started.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hpclab.ansi import strip_ansi
from hpclab.errors import NotebookFailed
from hpclab.headless.artifacts import Skipped
from hpclab.shell import indented
from hpclab.slurm import Job

HIDDEN_TAG = "hidden-tests"  # a cell that only stands for tests which are not there
PAPERMILLS_OWN = "papermill-error-cell-tag"  # cells that papermill adds where a cell failed
NOT_SUBMITTED = "NOT_SUBMITTED"
DEAD_KERNEL = 138  # papermill's exit status when the kernel died
LINES = 15  # of a log, or of what a cell printed


class CellMark(msgspec.Struct, frozen=True):
    """The points of one test cell and its error message. ``ran``: it ran to its end."""

    task: str
    points: float
    earned: float
    message: str = ""
    ran: bool = True


class CellFailure(msgspec.Struct, frozen=True):
    """The first cell that failed, tests aside, or in which the run ended: id, number in the notebook, error."""

    cell: str
    number: int
    error: str
    source: str
    printed: str  # the end of what the cell printed: a shell cell's reason is there


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """One headless run, successful or not.

    ``folder`` is where its files lay on the cluster, ``jobs`` are the jobs that the notebook
    submitted, ``complete`` says whether the run got to the notebook's end. ``problem`` and
    ``remedy`` tell what went wrong outside the notebook. ``stamp`` names what the run was made
    from, ``executed`` is the hash of the executed notebook, ``written`` the time in seconds
    since the epoch.
    """

    lab: str = ""
    job: str = ""
    state: str = NOT_SUBMITTED
    exit_code: int | None = None
    elapsed_seconds: int | None = None
    node: str = ""
    folder: str = ""
    jobs: list[str] = []
    marks: list[CellMark] = []
    complete: bool = False
    failure: CellFailure | None = None
    log_end: str = ""
    artifacts: list[str] = []
    skipped: list[Skipped] = []
    problem: str = ""
    remedy: str = ""
    stamp: dict[str, str] = {}
    executed: str = ""
    written: float = 0.0

    @property
    def earned(self) -> float:
        return sum(mark.earned for mark in self.marks)

    @property
    def points(self) -> float:
        return sum(mark.points for mark in self.marks)

    @property
    def ok(self) -> bool:
        """Whether the job completed, no cell failed and every test passed."""
        whole = self.state == "COMPLETED" and self.complete and not self.failure and not self.problem
        return whole and self.earned == self.points

    def sentence(self) -> str:
        """The run in one line."""
        if not self.job:
            return "no job: " + (self.problem.splitlines() or ["it was not submitted"])[0]
        marks = f", {self.earned:g}/{self.points:g} points" if self.marks else ""
        took = f" in {self.elapsed_seconds} s" if self.elapsed_seconds is not None else ""
        return f"job {self.job} {self.state} on {self.node or 'no node'}{took}{marks}"


def summarize_run(job: Job, folder: str, executed: str, log: str, original: str = "") -> RunResult:
    """The result of a run. ``original`` is the notebook as it was submitted.

    It stands in where the executed notebook is missing or was cut off while papermill wrote it.
    """
    cells = _cells(executed)
    readable = bool(cells)
    cells = cells or _cells(original)
    started = [index for index, cell in enumerate(cells) if _mill(cell).get("start_time")]
    if not readable and (numbers := re.findall(r"Executing Cell (\d+)", log)):
        started = list(range(min(int(numbers[-1]), len(cells))))
    stopped = started[-1] if started and _ended_early(job, cells, started) else None
    return RunResult(
        job=job.id,
        state=job.state,
        exit_code=job.exit_code,
        elapsed_seconds=job.elapsed,
        node=job.nodes,
        folder=folder,
        marks=[
            _mark(cell, stopped_here=index == stopped)
            for index, cell in enumerate(cells)
            if _nbgrader(cell).get("grade")
        ],
        complete=bool(started) and stopped is None,
        failure=_first_failure(cells, stopped, job, log),
        log_end=_end(log),
    )


def _ended_early(job: Job, cells: Sequence[Mapping[str, Any]], started: Sequence[int]) -> bool:
    if len(started) < len(cells) or not _mill(cells[started[-1]]).get("end_time"):
        return True
    # Every cell began. papermill says 1 when a test failed; anything else broke off the last one.
    return job.state not in ("COMPLETED", "FAILED") or job.exit_code not in (0, 1)


def _first_failure(
    cells: Sequence[Mapping[str, Any]], stopped: int | None, job: Job, log: str
) -> CellFailure | None:
    for number, cell in enumerate(cells, 1):
        here = number - 1 == stopped
        if _error(cell) and not here and not _nbgrader(cell).get("grade"):
            return _failure(cell, number, _error(cell))
        if here:
            return _failure(cell, number, _why_here(cell, job, log))
    return None


def _why_here(cell: Mapping[str, Any], job: Job, log: str) -> str:
    """Why the run ended in ``cell``."""
    if job.state == "TIMEOUT":
        limit = f" of {job.time_limit} s" if job.time_limit else ""
        return f"the job reached its time limit{limit} while this cell ran"
    if job.state == "OUT_OF_MEMORY":
        return "the job ran out of memory while this cell ran"
    if job.state == "CANCELLED":
        return "the job was cancelled while this cell ran"
    if "CellTimeoutError" in log:
        after = re.search(r"executed, after (\d+) seconds", log)
        return f"no end after {after[1] if after else 'too many'} s, the deadline of a cell"
    if job.exit_code == DEAD_KERNEL or "DeadKernelError" in log:
        return "the kernel died: the cell ended it, or the system killed it, for instance for its memory"
    return _error(cell) or f"the job ended {job.state} while this cell ran"


def require_ok(result: RunResult, remains: str) -> None:
    """Raise NotebookFailed unless the result is ok: the cell, the error, the end of the log.

    ``remains`` names the files of the run.
    """
    if result.ok:
        return
    parts = [result.sentence()] if result.job else []
    if result.problem:
        parts.append(result.problem)
    if result.failure:
        at = f"cell {result.failure.number} ({result.failure.cell})"
        parts.append(
            f"{at} failed:{indented(result.failure.source)}\n{at} ended with: {result.failure.error}"
        )
        if result.failure.printed:
            parts.append(f"{at} printed:{indented(result.failure.printed)}")
    for mark in result.marks:
        if mark.earned < mark.points:
            parts.append(f"{mark.task}: {mark.earned:g} of {mark.points:g} points{indented(mark.message)}")
    if result.log_end and (result.failure or not result.complete):
        parts.append(f"the end of the notebook's log:{indented(result.log_end)}")
    raise NotebookFailed("\n".join(parts), "\n".join(line for line in (result.remedy, remains) if line))


def _cells(text: str) -> list[Mapping[str, Any]]:
    try:
        cells = json.loads(text)["cells"] if text else []
    except (ValueError, KeyError, TypeError):
        return []
    # People count without the cells that papermill adds.
    return [cell for cell in cells if PAPERMILLS_OWN not in _tags(cell)]


def _failure(cell: Mapping[str, Any], number: int, error: str) -> CellFailure:
    printed = "".join(
        "".join(output.get("text", ""))
        for output in cell.get("outputs", [])
        if output.get("output_type") == "stream"
    )
    return CellFailure(
        cell=cell.get("id", ""),
        number=number,
        error=error,
        source="".join(cell.get("source", "")),
        printed=_end(printed),
    )


def _mark(cell: Mapping[str, Any], *, stopped_here: bool) -> CellMark:
    """The points of a test cell that ran to its end without an error; a cell that never ran earns none."""
    mark = _nbgrader(cell)
    points = float(mark.get("points", 0))
    error = _error(cell)
    mill = _mill(cell)
    ran = bool(mill.get("start_time") and mill.get("end_time")) and not stopped_here
    if error or not ran or HIDDEN_TAG in _tags(cell):
        message = error or ("not run" if not ran else "checked when the work is graded")
        return CellMark(mark["grade_id"], points, 0.0, message, ran)
    return CellMark(mark["grade_id"], points, points)


def _error(cell: Mapping[str, Any]) -> str:
    for output in cell.get("outputs", []):
        if output.get("output_type") == "error":
            return strip_ansi(f"{output.get('ename', '')}: {output.get('evalue', '')}")
    return ""


def _end(text: str) -> str:
    return "\n".join(strip_ansi(text).splitlines()[-LINES:])


def _nbgrader(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata: Mapping[str, Any] = cell.get("metadata", {}).get("nbgrader", {})
    return metadata


def _mill(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata: Mapping[str, Any] = cell.get("metadata", {}).get("papermill", {})
    return metadata


def _tags(cell: Mapping[str, Any]) -> Sequence[str]:
    tags: Sequence[str] = cell.get("metadata", {}).get("tags", [])
    return tags
