"""How late each student's lab is, by the class's settings as they are now and the receipts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hpclab.grading import lateness
from hpclab.grading.lateness import Lateness
from hpclab.grading.settings import Course
from hpclab.grading.submissions.counting import counting_versions
from hpclab.grading.submissions.store import Receipt


def of_lab(
    course: Course, lab: str, receipts: Iterable[Receipt], marked: Mapping[str, float] | None = None
) -> dict[str, Lateness]:
    """By student. ``receipts`` are those of all labs, since free days are shared among them.

    Of each lab the version that counts (``submissions.counting``) decides; of ``lab`` the version that was
    marked, which ``marked`` says the time of receipt of.
    """
    every = list(receipts)
    received: dict[str, dict[str, float]] = {}
    for name in {one.lab for one in every}:
        for student, receipt in counting_versions(course, name, every).items():
            received.setdefault(student, {})[name] = receipt.received
    for student, when in (marked or {}).items():
        received.setdefault(student, {})[lab] = when
    found = {}
    for student, mine in received.items():
        if lab in mine:
            dues = {name: course.due(name, student) for name in mine}
            found[student] = lateness.course(mine, dues, course.late, course.zone)[lab]
    return found
