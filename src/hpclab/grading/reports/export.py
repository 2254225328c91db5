"""Marks as CSV: for spreadsheets, and in the forms that Canvas and Moodle import.

Of every kind: a mark that is not there is never a zero, unless ``missing_as_zero`` says so for work that was
not handed in. Work that could not be graded has no mark in any case. A cell that a spreadsheet would take for
a formula has an apostrophe before it.

csv      one row a student and lab, these columns:
         student         the id in this class            lab          its name
         name, email     as in the class's settings      lms          the learning platform's number
         received        UTC, ISO 8601                   received_there   the same in the class's zone
         late            in words, empty: in time        days_late    days begun
         points          the most there is               checks       what the checks gave
         by_hand         yes: a person changed a mark    penalty      points taken for being late
         score           after all of it                 verdict      in one word
         needs_look      yes: a person has to look       trouble      why there is no mark, or no newer one
canvas   Canvas' gradebook import: one lab, its columns Student, ID (of Canvas), SIS User ID, SIS Login ID, Section,
         the assignment's name; below the head the row "Points Possible". Canvas takes an empty cell for "no grade" and
         forgets the one that it has, so whoever has no mark is left out.
moodle   Moodle's grade import: one lab, its columns Username, Email address, the assignment's name. Whoever has no
         mark is left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from hpclab.errors import UsageError
from hpclab.grading import sanitize
from hpclab.grading.reports.overview import Row
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
    rows: Sequence[Row],
    *,
    assignment: str = "",
    points: float | None = None,
    missing_as_zero: bool = False,
    mark_order: bool = False,
) -> bytes:
    """The file. ``assignment`` and ``points`` are of one lab, as the learning platform has it.

    ``mark_order`` puts a byte order mark before it, by which Excel knows UTF-8. Raises UsageError.
    """
    if kind != "csv" and len({row.lab for row in rows}) > 1:
        raise UsageError(f"{kind} takes one lab a file", "Name one lab, or use --format csv.")
    lines: Iterable[Sequence[object]]
    if kind == "csv":
        lines = [COLUMNS, *(_plain(row, course, missing_as_zero) for row in rows)]
    else:
        there = [(row, score) for row in rows if (score := _score(row, missing_as_zero)) is not None]
        lines = _canvas(there, assignment, points) if kind == "canvas" else _moodle(there, assignment)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in line] for line in lines)
    return (b"\xef\xbb\xbf" if mark_order else b"") + text.getvalue().encode()


def _score(row: Row, missing_as_zero: bool) -> float | None:
    if row.score is None and missing_as_zero and not row.handed_in:
        return 0.0
    return row.score


def _plain(row: Row, course: Course, missing_as_zero: bool) -> list[object]:
    there = course.shown(row.received) if row.received is not None else ""
    when = datetime.fromtimestamp(row.received, UTC).isoformat() if row.received is not None else ""
    marked = row.score is not None
    return [
        *(row.student, row.name, row.email, row.lms, row.lab, when, there, row.late),
        row.days_late if marked else "",
        row.points,
        row.checks,
        "yes" if row.by_hand else "",
        row.penalty if marked else "",
        _score(row, missing_as_zero),
        *(row.verdict, "yes" if row.needs_look else "", row.trouble),
    ]


def _canvas(
    there: Sequence[tuple[Row, float]], assignment: str, points: float | None
) -> list[Sequence[object]]:
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", assignment]
    possible = ["    Points Possible", "", "", "", "", points]
    return [
        head,
        possible,
        *([row.name or row.student, row.lms, "", row.hub, "", score] for row, score in there),
    ]


def _moodle(there: Sequence[tuple[Row, float]], assignment: str) -> list[Sequence[object]]:
    head = ["Username", "Email address", assignment]
    return [head, *([row.hub, row.email, score] for row, score in there)]


def _cell(value: object) -> str:
    """A value as a cell: numbers short, texts on one line and never a formula."""
    if value is None:
        return ""
    if isinstance(value, float | int):
        return f"{round(value, 4):.10g}"
    text = str(value)
    # What a spreadsheet strips before it looks: blanks, and marks that nobody sees.
    first = text.lstrip(" \u00a0\ufeff\u200b\n")
    shown = sanitize.text(text).replace("\n", " ")
    return f"'{shown}" if first.startswith(FORMULA) else shown
