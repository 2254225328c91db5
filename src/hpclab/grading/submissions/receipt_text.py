"""A receipt as text for the student."""

from __future__ import annotations

from pathlib import Path

from hpclab.files import write_whole
from hpclab.grading import lateness as rules
from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt
from hpclab.grading.submissions.student_ids import shown


def lateness(receipt: Receipt, course: Course) -> str:
    """Describe how late this version is; the penalty is computed with the mark."""
    found = rules.compute_lateness(
        receipt.received, course.due(receipt.lab, receipt.student), course.late, course.zone
    )
    if not found.seconds or not found.days:
        return found.description
    return f"{rules.duration(found.seconds)} late"


def text(receipt: Receipt, course: Course) -> str:
    """Return the receipt as text, line by line."""
    person = course.students.get(receipt.student)
    name = f"{person.name} ({receipt.student})" if person and person.name else receipt.student
    due = course.due(receipt.lab, receipt.student)
    lines = [
        f"Receipt {receipt.number}: {receipt.lab}, {name}",
        "",
        f"received  {course.format_time(receipt.received)}, {lateness(receipt, course)}",
        *([f"due       {course.format_time(due)}"] if due is not None else []),
        f"from      {printable(receipt.source)}",
        f"content   sha256:{receipt.hash}",
        f"record    {receipt.record}",
        "",
        *(f"{size:>12,} bytes  {path}" for path, size in sorted(receipt.files.items())),
        *(["", *(f"note: {printable(note)}" for note in receipt.notes)] if receipt.notes else []),
    ]
    return "\n".join(lines) + "\n"


def write(receipt: Receipt, course: Course) -> Path:
    """Write the text for the student where it is missing, and return its path; the receipt itself is in the ledger."""
    path = course.folder / "receipts" / receipt.lab / receipt.student / f"{receipt.number}.txt"
    if not path.exists():
        write_whole(path, text(receipt, course).encode())
    return path


def printable(text: str) -> str:
    """Return ``text`` unchanged where it is safe to print, else escaped."""
    return text if text.isprintable() else shown(text, 400)
