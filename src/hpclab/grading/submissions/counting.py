"""Which version of a student's lab counts: the one rule, for marks, lateness, reports and feedback. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt


def counting_versions(course: Course, lab: str, receipts: Iterable[Receipt]) -> dict[str, Receipt]:
    """By student, the last version that came before the lab closed for them. ``receipts`` may be of any labs.

    The last one is the one with the highest number: numbers are given in the order of receptions, whatever the
    clock said. Who handed in only after the closing has no version that counts.
    """
    counts: dict[str, Receipt] = {}
    for receipt in sorted(receipts, key=lambda one: one.number):
        closes = course.closes(lab, receipt.student)
        if receipt.lab == lab and (closes is None or receipt.received <= closes):
            counts[receipt.student] = receipt
    return dict(sorted(counts.items()))
