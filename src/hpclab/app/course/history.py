"""The ledger's records of a student or a lab, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpclab.grading.records.ledger import Ledger
from hpclab.grading.settings import Course

COLUMNS = ("when", "what", "lab", "student", "version", "")
# The fields of a record that a row shows, by kind.
DETAILS: Mapping[str, tuple[str, ...]] = {
    "received": ("hash", "source"),
    "queued": ("uuid",),
    "graded": ("verdict", "earned", "points", "hash", "grader"),
    "override": ("by", "reason"),
    "exported": ("file",),
    "mended": ("aside",),
}


def list_history(course: Course, *, student: str = "", lab: str = "") -> list[tuple[str, ...]]:
    """A row of ``COLUMNS`` for each record of ``student`` and ``lab``, in the ledger's order."""
    match = {key: value for key, value in (("student", student), ("lab", lab)) if value}
    return [_row(course, record) for record in Ledger(course.folder).records(**match)]


def _row(course: Course, record: Mapping[str, Any]) -> tuple[str, ...]:
    kind = str(record["kind"])
    when = record["received"] if kind == "received" else record["at"]
    details = [
        f"{key} {str(record[key])[:12] if key in ('hash', 'grader') else record[key]}"
        for key in DETAILS.get(kind, ())
        if key in record
    ]
    fields = [str(record.get(key, "")) for key in ("lab", "student", "number")]
    return (course.format_time(float(when)), kind, *fields, "  ".join(details))
