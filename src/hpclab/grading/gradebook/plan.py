"""One result → what is written down of it: a score for each test, a comment for each answer. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import msgspec

from hpclab.grading import sanitize
from hpclab.grading.model import Lab, Mark, Result, Verdict

LARGEST = 2.0**53  # above it not every whole number is one
NOTHING = (
    Verdict.TAMPER,
    Verdict.BAD_INPUT,
)  # verdicts with which nothing is earned, whatever the tests said
NO_RESPONSE = "No response."  # nbgrader's own words
HIDDEN = "A check that the notebook does not show did not pass."
TAMPER = "Put aside for a person to look at: something that no honest way leads to."
LONGEST = 2000  # characters of a comment


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the database is to hold of one submission. ``review``: a person has to look at it."""

    student: str
    received: float
    scores: dict[str, float]
    comments: dict[str, str]
    review: bool = False


def refused(result: Result, lab: Lab) -> str:
    """Why no mark can be taken from ``result``; empty if one can."""
    if result.task.lab not in (lab.name, f"{lab.module}/{lab.name}"):
        return f"it is a result of {result.task.lab}"
    if result.verdict is Verdict.SYSTEM_ERROR:
        return result.problem or "it could not be graded"
    if result.lab_digest and lab.digest and result.lab_digest != lab.digest:
        return "it was graded against another version of the lab"
    if not math.isfinite(result.task.received):
        return "its time of receipt is no number"
    tests = {test.id: test for test in lab.tests}
    named = [mark.test for mark in result.marks]
    if len(set(named)) != len(named) or not set(named) <= tests.keys():
        return "it names a test twice, or one that the lab does not have"
    if result.verdict not in NOTHING and len(named) != len(tests):
        return f"it says nothing of {', '.join(sorted(tests.keys() - set(named)))}"
    for mark in result.marks:
        if not _sound(mark, tests[mark.test].points):
            return f"{mark.test}: {mark.earned!r} of {mark.points!r} points is no mark"
    return ""


def _sound(mark: Mark, points: float) -> bool:
    whole = all(isinstance(one, int | float) and math.isfinite(one) for one in (mark.points, mark.earned))
    return whole and mark.points == points and 0 <= mark.earned <= points <= LARGEST


def plan(result: Result, lab: Lab) -> Plan:
    """What is written down of ``result``, which must not be one of those that are ``refused``."""
    nothing = result.verdict in NOTHING
    earned = {mark.test: 0.0 if nothing else float(mark.earned) for mark in result.marks}
    answers = [cell for cell in lab.cells if cell.kind == "answer"]
    handed_in = sources(result.executed)
    comments = {}
    for cell in answers:
        if result.verdict is Verdict.TAMPER:
            words = f"{TAMPER} {result.problem or (result.run.detail if result.run else '')}".strip()
        elif result.verdict is Verdict.BAD_INPUT:
            words = result.problem
        elif handed_in.get(cell.id, "").strip() == cell.source.strip():
            words = NO_RESPONSE
        else:
            task = task_of(cell.id, lab)
            words = "\n".join(said(mark) for mark in result.marks if mark.task == task and lost(mark))
        comments[cell.id] = sanitize.text(words)[:LONGEST]
    return Plan(
        student=result.task.student,
        received=result.task.received,
        scores={test.id: earned.get(test.id, 0.0) for test in lab.tests},
        comments=comments,
        review=result.verdict is Verdict.TAMPER,
    )


def task_of(cell: str, lab: Lab) -> str:
    """The task that an answer's cell belongs to: its id is the task's name, or that with a part behind it."""
    names = {test.task for test in lab.tests}
    fitting = [name for name in names if cell == name or cell.startswith(f"{name}-")]
    return max(fitting, key=len, default="")


def lost(mark: Mark) -> bool:
    return mark.earned < mark.points


def said(mark: Mark) -> str:
    """What one failed test has to say; of a hidden one always the same."""
    if mark.hidden:
        return HIDDEN
    parts = [
        f"Found: {mark.found}" if mark.found else "",
        f"expected: {mark.expected}" if mark.expected else "",
    ]
    return "; ".join(part for part in parts if part) or mark.said or "A check did not pass."


def sources(executed: str) -> dict[str, str]:
    """The source of each cell of an executed notebook, by its id; a stranger's text, so anything may be wrong."""
    return {
        str(cell["id"]): source
        for cell in cells(executed)
        if "id" in cell and isinstance(source := joined(cell.get("source")), str)
    }


def cells(executed: str) -> list[Mapping[str, object]]:
    """The cells of an executed notebook; none where it is not one."""
    try:
        notebook = json.loads(executed, parse_int=_number) if executed else {}
    except (ValueError, RecursionError):
        return []
    found = notebook.get("cells") if isinstance(notebook, dict) else None
    return [cell for cell in found if isinstance(cell, dict)] if isinstance(found, list) else []


def _number(digits: str) -> int:
    """Python refuses to read numbers of thousands of digits; nobody needs one here."""
    return int(digits) if len(digits) < 20 else 0


def joined(source: object) -> str | None:
    """A cell's source, which may be a list of lines."""
    if isinstance(source, list):
        return "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else None
