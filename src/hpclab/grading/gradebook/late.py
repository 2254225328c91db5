"""How late each student's lab is, by the class's settings as they are now and the receipts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hpclab.grading import lateness
from hpclab.grading.lateness import Lateness
from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt


def of_lab(
    course: Course, lab: str, receipts: Iterable[Receipt], marked: Mapping[str, float] | None = None
) -> dict[str, Lateness]:
    """By student. ``receipts`` are those of all labs, since free days are shared among them.

    Of each lab the version counts that was received last before it closed; ``marked`` says when the version
    was received that was marked.
    """
    received: dict[str, dict[str, float]] = {}
    for one in receipts:
        closes = course.closes(one.lab, one.student)
        if closes is not None and one.received > closes:
            continue
        mine = received.setdefault(one.student, {})
        mine[one.lab] = max(one.received, mine.get(one.lab, one.received))
    for student, when in (marked or {}).items():
        received.setdefault(student, {})[lab] = when
    found = {}
    for student, mine in received.items():
        if lab in mine:
            dues = {name: course.due(name, student) for name in mine}
            found[student] = lateness.course(mine, dues, course.late, course.zone)[lab]
    return found
