"""Marks as CSV: for spreadsheets, and in the formats that Canvas and Moodle import. Pure.

A missing mark is never written as zero, except with ``missing_as_zero`` for students who submitted nothing. A
submission that could not be graded never has a mark. A cell that a spreadsheet would take for a formula is prefixed
with an apostrophe.

csv      one row for each student and lab, with these columns:
         student         the id in this course           lab          its name
         name, email     as in the course's settings     lms          the learning platform's number
         received        UTC, ISO 8601                   received_there   the same in the course's zone
         late            in words; empty: on time        days_late    days begun
         points          the possible points             checks       points of the checks
         by_hand         yes: changed by hand            penalty      points deducted for being late
         score           the final mark                  verdict      in one word
         needs_look      yes: needs a review             trouble      why there is no mark, or only an old one
canvas   Canvas' gradebook import: one lab, its columns Student, ID (of Canvas), SIS User ID, SIS Login ID, Section,
         the assignment's name; below the head the row "Points Possible". An empty cell would
         remove a grade from Canvas, so students without a mark are left out.
moodle   Moodle's grade import: one lab, its columns Username, Email address, the assignment's name. Students
         without a mark are left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from hpclab.errors import UsageError
from hpclab.grading import sanitize
from hpclab.grading.reports.overview import StudentRow
from hpclab.grading.settings import Course

KINDS = ("csv", "canvas", "moodle")
COLUMNS = (
    *("student", "name", "email", "lms", "lab", "received", "received_there", "late", "days_late", "points"),
    *("checks", "by_hand", "penalty", "score", "verdict", "needs_look", "trouble"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(
    kind: str,
    course: Course,
    rows: Sequence[StudentRow],
    *,
    assignment: str = "",
    points: float | None = None,
    missing_as_zero: bool = False,
    byte_order_mark: bool = False,
) -> bytes:
    """Return the content of the file. ``assignment`` and ``points`` describe the lab in Canvas or Moodle.

    With ``byte_order_mark`` Excel recognizes UTF-8. Raises UsageError.
    """
    if kind != "csv" and len({row.lab for row in rows}) > 1:
        raise UsageError(f"{kind} takes one lab a file", "Name one lab, or use --format csv.")
    lines: Iterable[Sequence[object]]
    if kind == "csv":
        lines = [COLUMNS, *(_plain(row, course, missing_as_zero) for row in rows)]
    else:
        marked = [(row, score) for row in rows if (score := _score(row, missing_as_zero)) is not None]
        lines = _canvas(marked, assignment, points) if kind == "canvas" else _moodle(marked, assignment)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in line] for line in lines)
    return (b"\xef\xbb\xbf" if byte_order_mark else b"") + text.getvalue().encode()


def _score(row: StudentRow, missing_as_zero: bool) -> float | None:
    if row.score is None and missing_as_zero and not row.handed_in:
        return 0.0
    return row.score


def _plain(row: StudentRow, course: Course, missing_as_zero: bool) -> list[object]:
    local_time = course.format_time(row.received) if row.received is not None else ""
    when = datetime.fromtimestamp(row.received, UTC).isoformat() if row.received is not None else ""
    has_mark = row.score is not None
    return [
        *(row.student, row.name, row.email, row.lms, row.lab, when, local_time, row.late),
        row.days_late if has_mark else "",
        row.points,
        row.checks,
        "yes" if row.by_hand else "",
        row.penalty if has_mark else "",
        _score(row, missing_as_zero),
        *(row.verdict, "yes" if row.needs_look else "", row.trouble),
    ]


def _canvas(
    marked: Sequence[tuple[StudentRow, float]], assignment: str, points: float | None
) -> list[Sequence[object]]:
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", assignment]
    possible = ["    Points Possible", "", "", "", "", points]
    return [
        head,
        possible,
        *([row.name or row.student, row.lms, "", row.hub, "", score] for row, score in marked),
    ]


def _moodle(marked: Sequence[tuple[StudentRow, float]], assignment: str) -> list[Sequence[object]]:
    head = ["Username", "Email address", assignment]
    return [head, *([row.hub, row.email, score] for row, score in marked)]


def _cell(value: object) -> str:
    """Return a value as a cell: numbers without trailing zeros, text on one line and never a formula."""
    if value is None:
        return ""
    if isinstance(value, float | int):
        return f"{round(value, 4):.10g}"
    text = str(value)
    # Spreadsheets ignore leading blanks and invisible characters.
    first = text.lstrip(" \u00a0\ufeff\u200b\n")
    shown = sanitize.text(text).replace("\n", " ")
    return f"'{shown}" if first.startswith(FORMULA) else shown
