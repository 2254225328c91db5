"""Marks of a course as a CSV file, recorded in the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hpclab.app.course.labs import read_marks, read_newest_lab
from hpclab.errors import UsageError
from hpclab.files import write_whole
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.reports import export
from hpclab.grading.reports.overview import build_rows
from hpclab.grading.settings import Course


class ExportedMarks(msgspec.Struct, frozen=True, kw_only=True):
    """The file, students who submitted but have no mark, and students whose submission needs a review."""

    path: Path
    without_mark: tuple[str, ...]
    to_review: tuple[str, ...]


def export_marks(
    course: Course,
    labs: Sequence[str],
    kind: str,
    *,
    assignment: str | None = None,
    missing_as_zero: bool = False,
    byte_order_mark: bool = False,
    out: Path | None = None,
) -> ExportedMarks:
    """Write the marks of ``labs``; ``kind`` is one of ``export.KINDS``. Raises GradingError, UsageError.

    ``assignment`` is the lab's name in Canvas or Moodle, by default its title. ``out`` is by default a file in the
    course's folder ``reports``.
    """
    if kind != "csv" and len(labs) > 1:
        raise UsageError(
            f"{kind} takes one lab a file, and {len(labs)} are named", "Name one, or use --format csv."
        )
    marks = [read_marks(course, lab) for lab in labs]
    rows = [row for lab_marks in marks for row in build_rows(course, lab_marks)]
    newest = read_newest_lab(course, marks[0])
    data = export.export(
        kind,
        course,
        rows,
        assignment=assignment or newest.title,
        points=sum(test.points for test in newest.tests),
        missing_as_zero=missing_as_zero,
        byte_order_mark=byte_order_mark,
    )
    suffix = ".csv" if kind == "csv" else f".{kind}.csv"
    path = (out or course.folder / "reports" / f"{'+'.join(labs)[:80]}{suffix}").absolute()
    write_whole(path, data)
    path.chmod(0o600)
    Ledger(course.folder).append(
        "exported",
        file=str(path.relative_to(course.folder) if path.is_relative_to(course.folder) else path),
        sha256=hashlib.sha256(data).hexdigest(),
        labs=list(labs),
        format=kind,
        missing_as_zero=missing_as_zero,
    )
    return ExportedMarks(
        path=path,
        without_mark=tuple(sorted({row.student for row in rows if row.handed_in and row.score is None})),
        to_review=tuple(sorted({row.student for row in rows if row.needs_look})),
    )
