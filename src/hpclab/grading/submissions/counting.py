"""The rule for which version of a student's lab counts: for marks, lateness, reports and feedback. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt


def counting_versions(course: Course, lab: str, receipts: Iterable[Receipt]) -> dict[str, Receipt]:
    """Return, by student, the last version received before the lab closed for them.

    ``receipts`` may be of any labs. The last version is the one with the highest number: numbers are assigned in
    the order of receipt, whatever the clock showed. A student who submitted only after the closing has no version
    that counts.
    """
    counts: dict[str, Receipt] = {}
    for receipt in sorted(receipts, key=lambda one: one.number):
        closes = course.closes(lab, receipt.student)
        if receipt.lab == lab and (closes is None or receipt.received <= closes):
            counts[receipt.student] = receipt
    return dict(sorted(counts.items()))
