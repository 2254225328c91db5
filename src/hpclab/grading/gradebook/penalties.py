"""Write penalties for late work into the gradebook, from receipts and the course's present settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hpclab.grading import lateness
from hpclab.grading.gradebook.marks import epoch_seconds
from hpclab.grading.lateness import Lateness
from hpclab.grading.settings import Course
from hpclab.grading.submissions.counting import counting_versions
from hpclab.grading.submissions.store import Receipt


def apply_penalties(
    course: Course, lab: str, submissions: Mapping[str, Any], receipts: Iterable[Receipt]
) -> dict[str, Lateness]:
    """Write the penalty into each of nbgrader's ``submissions`` of ``lab``; returns the lateness of each student."""
    marked = {
        student: when
        for student, submission in submissions.items()
        if (when := epoch_seconds(submission.assignment.timestamp)) is not None
    }
    by_student = compute_lateness(course, lab, receipts, marked)
    for student, submission in submissions.items():
        share = by_student[student].penalty_share if student in by_student else 0.0
        score = sum(_score(grade) for grade in submission.grades)
        submission.late_submission_penalty = round(share * score, 6) if share else None
    return by_student


def compute_lateness(
    course: Course, lab: str, receipts: Iterable[Receipt], marked: Mapping[str, float] | None = None
) -> dict[str, Lateness]:
    """Return the lateness of ``lab`` by student.

    ``receipts`` are those of all labs, since free days are shared among them. For each lab the version that
    counts is used; for ``lab`` the version that was graded, whose time of receipt is in ``marked``.
    """
    all_receipts = list(receipts)
    received: dict[str, dict[str, float]] = {}
    for name in {receipt.lab for receipt in all_receipts}:
        for student, receipt in counting_versions(course, name, all_receipts).items():
            received.setdefault(student, {})[name] = receipt.received
    for student, when in (marked or {}).items():
        received.setdefault(student, {})[lab] = when
    result = {}
    for student, by_lab in received.items():
        if lab in by_lab:
            dues = {name: course.due(name, student) for name in by_lab}
            result[student] = lateness.compute_all_lateness(by_lab, dues, course.late, course.zone)[lab]
    return result


def _score(grade: Any) -> float:
    """Return the score by nbgrader's rule: the manual score before the automatic one, plus extra credit."""
    base = grade.manual_score if grade.manual_score is not None else grade.auto_score
    return float(base or 0.0) + float(grade.extra_credit or 0.0)
