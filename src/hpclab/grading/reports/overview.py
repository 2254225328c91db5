"""One lab of a course with a row for each student: the data of exports and reports. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hpclab.grading.gradebook import StudentScores
from hpclab.grading.lateness import Lateness
from hpclab.grading.model import Result
from hpclab.grading.settings import Course
from hpclab.grading.submissions.counting import counting_versions
from hpclab.grading.submissions.store import Receipt

TOO_LATE = "submitted after the lab had closed, so it doesn't count"


class StudentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One student and one lab. ``score`` None: there is no mark.

    ``trouble`` says why a submission has no mark, or why a newer version has none yet.
    """

    student: str
    name: str = ""
    email: str = ""
    lms: str = ""
    hub: str = ""
    lab: str = ""
    handed_in: bool = False
    received: float | None = None
    late: str = ""
    days_late: int = 0
    points: float | None = None
    checks: float | None = None  # points of the checks alone
    by_hand: bool = False
    penalty: float = 0.0
    score: float | None = None  # the final mark, after marks by hand and the penalty
    verdict: str = ""
    seconds: float = 0.0
    needs_look: bool = False
    trouble: str = ""


class LabMarks(msgspec.Struct, frozen=True, kw_only=True):
    """All data of a course's folder about the marks of one lab, each by student.

    ``results`` are those that the marks came from; ``unmarked`` are newer ones without a mark.
    """

    lab: str
    scores: Mapping[str, StudentScores]
    results: Mapping[str, Result]
    unmarked: Mapping[str, Result]
    lateness: Mapping[str, Lateness]
    receipts: tuple[Receipt, ...] = ()


def build_rows(course: Course, marks: LabMarks) -> list[StudentRow]:
    """Return a row for every student of the course, and for anyone else who has a mark, by id."""
    counting = counting_versions(course, marks.lab, marks.receipts)
    submitted = {receipt.student for receipt in marks.receipts if receipt.lab == marks.lab}
    students = sorted({*course.students, *marks.scores, *marks.unmarked})
    return [
        _build_row(course, marks, student, counting.get(student), student in submitted)
        for student in students
    ]


def _build_row(
    course: Course, marks: LabMarks, student: str, counting: Receipt | None, submitted: bool
) -> StudentRow:
    person = course.students.get(student)
    scores, late = marks.scores.get(student), marks.lateness.get(student)
    result, unmarked = marks.results.get(student), marks.unmarked.get(student)
    row = StudentRow(
        student=student,
        name=person.name if person else "",
        email=person.email if person else "",
        lms=person.lms if person else "",
        hub=(person.hub or student) if person else student,
        lab=marks.lab,
        handed_in=submitted or scores is not None or unmarked is not None,
        trouble=(unmarked.problem or "it could not be graded") if unmarked else "",
    )
    if scores is None or not scores.marked:
        verdict = unmarked.verdict.value if unmarked else ""
        reason = "" if not row.handed_in else TOO_LATE if submitted and counting is None else "not graded yet"
        return msgspec.structs.replace(row, verdict=verdict, trouble=row.trouble or reason)
    if (
        result is not None
        and counting is not None
        and counting.number > result.task.number
        and not row.trouble
    ):
        row = msgspec.structs.replace(row, trouble=f"version {counting.number} is not graded yet")
    penalty = round((late.penalty_share if late else 0.0) * scores.score, 6)
    return msgspec.structs.replace(
        row,
        received=scores.received,
        late=late.description if late and late.seconds else "",
        days_late=late.days if late else 0,
        points=scores.points,
        checks=scores.auto,
        by_hand=scores.by_hand,
        penalty=penalty,
        score=max(0.0, scores.score - penalty),
        verdict=result.verdict.value if result else "",
        seconds=result.seconds if result else 0.0,
        needs_look=scores.needs_look or scores.flagged,
    )
