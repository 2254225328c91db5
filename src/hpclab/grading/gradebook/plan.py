"""A result → the marks to write into the gradebook: a score for each test, a comment for each answer. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import msgspec

from hpclab.grading import sanitize
from hpclab.grading.model import Lab, Mark, Result, Verdict

LARGEST = 2.0**53  # above it a float can't represent every integer
# Verdicts that earn nothing, whatever the tests gave.
NOTHING = (Verdict.TAMPER, Verdict.BAD_INPUT)
NO_RESPONSE = "No response."  # nbgrader's own words
HIDDEN = "A check that the notebook doesn't show did not pass."
TAMPER = "Set aside for an instructor to review: it contains something that normal work can't produce."
LONGEST = 2000  # characters of a comment


class PlannedMarks(msgspec.Struct, frozen=True, kw_only=True):
    """The marks of one submission for the gradebook. ``review``: an instructor has to look at it."""

    student: str
    received: float
    scores: dict[str, float]
    comments: dict[str, str]
    review: bool = False


def find_refusal(result: Result, lab: Lab) -> str:
    """Return why ``result`` gives no mark; empty if it does."""
    if result.task.lab not in (lab.name, f"{lab.module}/{lab.name}"):
        return f"it is a result of {result.task.lab}"
    if result.verdict is Verdict.SYSTEM_ERROR:
        return result.problem or "it could not be graded"
    if result.lab_digest and lab.digest and result.lab_digest != lab.digest:
        return "it was graded against another version of the lab"
    if not math.isfinite(result.task.received):
        return "its time of receipt is not a number"
    tests = {test.id: test for test in lab.tests}
    named = [mark.test for mark in result.marks]
    if len(set(named)) != len(named) or not set(named) <= tests.keys():
        return "it names a test twice, or one that the lab doesn't have"
    if result.verdict not in NOTHING and len(named) != len(tests):
        return f"it has no mark for {', '.join(sorted(tests.keys() - set(named)))}"
    for mark in result.marks:
        if not _is_valid(mark, tests[mark.test].points):
            return f"{mark.test}: {mark.earned!r} of {mark.points!r} points is not a valid mark"
    return ""


def _is_valid(mark: Mark, points: float) -> bool:
    finite = all(
        isinstance(value, int | float) and math.isfinite(value) for value in (mark.points, mark.earned)
    )
    return finite and mark.points == points and 0 <= mark.earned <= points <= LARGEST


def plan_marks(result: Result, lab: Lab) -> PlannedMarks:
    """Return the marks of ``result``, for which ``find_refusal`` must be empty."""
    nothing = result.verdict in NOTHING
    earned = {mark.test: 0.0 if nothing else float(mark.earned) for mark in result.marks}
    answers = [cell for cell in lab.cells if cell.kind == "answer"]
    submitted = read_sources(result.executed)
    comments = {}
    for cell in answers:
        if result.verdict is Verdict.TAMPER:
            comment = f"{TAMPER} {result.problem or (result.run.detail if result.run else '')}".strip()
        elif result.verdict is Verdict.BAD_INPUT:
            comment = result.problem
        elif submitted.get(cell.id, "").strip() == cell.source.strip():
            comment = NO_RESPONSE
        else:
            task = task_of(cell.id, lab)
            comment = "\n".join(
                describe_mark(mark) for mark in result.marks if mark.task == task and loses_points(mark)
            )
        comments[cell.id] = sanitize.text(comment)[:LONGEST]
    return PlannedMarks(
        student=result.task.student,
        received=result.task.received,
        scores={test.id: earned.get(test.id, 0.0) for test in lab.tests},
        comments=comments,
        review=result.verdict is Verdict.TAMPER,
    )


def task_of(cell: str, lab: Lab) -> str:
    """Return the task of an answer cell: its id is the task's name, or that name with "-PART" appended."""
    fitting = [name for name in lab.task_names if cell == name or cell.startswith(f"{name}-")]
    return max(fitting, key=len, default="")


def loses_points(mark: Mark) -> bool:
    """Return whether the test did not give all of its points."""
    return mark.earned < mark.points


def describe_mark(mark: Mark) -> str:
    """Return what one failed test reports, on one line; for a hidden test always the same."""
    if mark.hidden:
        return HIDDEN
    parts = [
        f"Found: {mark.found}" if mark.found else "",
        f"expected: {mark.expected}" if mark.expected else "",
    ]
    return "; ".join(part for part in parts if part) or mark.said or "A check did not pass."


def read_sources(executed: str) -> dict[str, str]:
    """Return the source of each cell of an executed notebook, by its id. The notebook is untrusted."""
    return {
        str(cell["id"]): source
        for cell in parse_cells(executed)
        if "id" in cell and isinstance(source := join_source(cell.get("source")), str)
    }


def parse_cells(executed: str) -> list[Mapping[str, object]]:
    """Return the cells of an executed notebook; empty if it is not a notebook."""
    try:
        notebook = json.loads(executed, parse_int=_parse_int) if executed else {}
    except (ValueError, RecursionError):
        return []
    listed = notebook.get("cells") if isinstance(notebook, dict) else None
    return [cell for cell in listed if isinstance(cell, dict)] if isinstance(listed, list) else []


def _parse_int(digits: str) -> int:
    """Return an integer, or 0 for one of 20 digits or more: Python refuses to parse thousands of digits."""
    return int(digits) if len(digits) < 20 else 0


def join_source(source: object) -> str | None:
    """Return a cell's source as one text; the file may have a list of lines."""
    if isinstance(source, list):
        return "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else None
