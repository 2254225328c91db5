"""One lab of a class, everybody on a row: what exports and reports are made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from hpclab.grading.gradebook import Standing
from hpclab.grading.lateness import Lateness
from hpclab.grading.model import Result
from hpclab.grading.settings import Course
from hpclab.grading.submissions.counting import counting_versions
from hpclab.grading.submissions.store import Receipt

TOO_LATE = "handed in after the lab had closed, so it does not count"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One student and one lab. ``score`` None: there is no mark, whatever the reason.

    ``trouble`` says why work that was handed in has no mark, or why a newer version has none yet.
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
    checks: float | None = None  # by the checks alone
    by_hand: bool = False
    penalty: float = 0.0
    score: float | None = None  # after all of it
    verdict: str = ""
    seconds: float = 0.0
    needs_look: bool = False
    trouble: str = ""


def rows(
    course: Course,
    lab: str,
    standings: Mapping[str, Standing],
    results: Mapping[str, Result],
    unmarked: Mapping[str, Result],
    lateness: Mapping[str, Lateness],
    receipts: Iterable[Receipt],
) -> list[Row]:
    """Everybody of the class, and whoever else has a mark, by id."""
    receipts = [one for one in receipts if one.lab == lab]
    newest = counting_versions(course, lab, receipts)
    too_late = {one.student for one in receipts} - newest.keys()
    everybody = sorted({*course.students, *standings, *unmarked})
    rows = [
        _row(course, lab, student, standings, results, unmarked, lateness, newest.get(student))
        for student in everybody
    ]
    return [
        msgspec.structs.replace(row, handed_in=True, trouble=TOO_LATE)
        if row.student in too_late and row.score is None and not row.trouble
        else row
        for row in rows
    ]


def _row(
    course: Course,
    lab: str,
    student: str,
    standings: Mapping[str, Standing],
    results: Mapping[str, Result],
    unmarked: Mapping[str, Result],
    lateness: Mapping[str, Lateness],
    newest: Receipt | None,
) -> Row:
    person, mine, late = course.students.get(student), standings.get(student), lateness.get(student)
    result, missing = results.get(student), unmarked.get(student)
    row = Row(
        student=student,
        name=person.name if person else "",
        email=person.email if person else "",
        lms=person.lms if person else "",
        hub=(person.hub or student) if person else student,
        lab=lab,
        handed_in=newest is not None or mine is not None or missing is not None,
        trouble=(missing.problem or "it could not be graded") if missing else "",
    )
    if mine is None or not mine.marked:
        verdict = missing.verdict.value if missing else ""
        waiting = "" if not row.handed_in or missing else "not graded yet"
        return msgspec.structs.replace(row, verdict=verdict, trouble=row.trouble or waiting)
    behind = result is not None and newest is not None and newest.number > result.task.number
    if behind and newest and not row.trouble:
        row = msgspec.structs.replace(row, trouble=f"version {newest.number} is not graded yet")
    penalty = round((late.penalty_share if late else 0.0) * mine.score, 6)
    return msgspec.structs.replace(
        row,
        received=mine.received,
        late=late.words if late and late.seconds else "",
        days_late=late.days if late else 0,
        points=mine.points,
        checks=mine.auto,
        by_hand=mine.by_hand,
        penalty=penalty,
        score=max(0.0, mine.score - penalty),
        verdict=result.verdict.value if result else "",
        seconds=result.seconds if result else 0.0,
        needs_look=mine.needs_look or mine.flagged,
    )
