"""Plans → rows of nbgrader's database. What a person set by hand there is never changed from here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from nbgrader.api import (
    Comment,
    Grade,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from hpclab.grading import sanitize
from hpclab.grading.gradebook.plan import Plan

# Quotation marks and a wide ampersand instead: they look alike and mean nothing in HTML.
NO_TAGS = {ord("<"): "\u2039", ord(">"): "\u203a", ord("&"): "\uff06", ord('"'): "\u201d"}


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What nbgrader keeps of a student, and until when this lab may be handed in by them."""

    id: str
    name: str = ""
    email: str = ""
    lms: str = ""
    extension: timedelta | None = None


def utc(seconds: float) -> datetime:
    """A moment as nbgrader keeps it: UTC, without a zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def enrol(book: Any, people: Iterable[Person]) -> None:
    """Make the database know these students as the class's settings do."""
    known = {student.id: student for student in book.students}
    for person in people:
        student = known.get(person.id)
        if student is None:
            student = Student(id=person.id)
            book.db.add(student)
        first, last = names(person.name)
        student.first_name, student.last_name = first, last
        student.email, student.lms_user_id = shown(person.email), shown(person.lms)


def names(name: str) -> tuple[str | None, str | None]:
    """First and last name, as nbgrader has them: "Last, First", or what stands behind the last space is the last."""
    last, comma, first = name.partition(",")
    if not comma:
        first, _, last = name.strip().rpartition(" ")
    # The formgrader would write None for a first name that is not there.
    return shown(first.strip()) or ("" if last.strip() else None), shown(last.strip())


def shown(text: str) -> str | None:
    """A name as the formgrader can show it: it puts names into its pages as they are, so no tag may be in one."""
    return sanitize.line(text, 120).translate(NO_TAGS) or None


def submissions(book: Any, notebook: Any) -> dict[str, Any]:
    """Every submitted notebook of ``notebook``, by student, with its marks and comments, in a few queries."""
    every = select(SubmittedNotebook).where(SubmittedNotebook.notebook_id == notebook.id)
    with_all = every.options(
        joinedload(SubmittedNotebook.assignment),
        selectinload(SubmittedNotebook.grades).joinedload(Grade.cell),
        selectinload(SubmittedNotebook.comments).joinedload(Comment.cell),
    )
    return {one.assignment.student_id: one for one in book.db.scalars(with_all)}


def put(book: Any, notebook: Any, there: dict[str, Any], plan: Plan, person: Person) -> Any:
    """Write one plan down; nbgrader's submitted notebook, which ``there`` has from now on.

    A mark set by hand stays, and where what it stands on has changed the formgrader asks for a look at it.
    """
    if plan.student not in there:
        there[plan.student] = _new(book, notebook, plan.student)
    mine = there[plan.student]
    when = utc(plan.received)
    grades = {grade.cell.name: grade for grade in mine.grades}
    same_version = mine.assignment.timestamp == when
    again = same_version and all(grades[name].auto_score == score for name, score in plan.scores.items())
    mine.assignment.timestamp, mine.assignment.extension = when, person.extension
    for name, score in plan.scores.items():
        grade = grades[name]
        changed = grade.auto_score != score or not same_version
        by_hand = grade.manual_score is not None
        grade.auto_score = score
        if not again if plan.review else by_hand and changed:
            grade.needs_manual_grade = True
        elif not plan.review and not by_hand:
            grade.needs_manual_grade = False
    for comment in mine.comments:
        comment.auto_comment = plan.comments.get(comment.cell.name) or None
    if plan.review and not again:
        mine.flagged = True
    return mine


def _new(book: Any, notebook: Any, student: str) -> Any:
    """A submission of this notebook, with all that belongs to it."""
    submission = SubmittedAssignment(assignment=notebook.assignment, student_id=student)
    mine = SubmittedNotebook(notebook=notebook, assignment=submission)
    book.db.add_all([submission, mine])
    book.db.add_all(Grade(cell=cell, notebook=mine) for cell in notebook.grade_cells)
    book.db.add_all(Comment(cell=cell, notebook=mine) for cell in notebook.solution_cells)
    return mine


def penalize(mine: Any, share: float) -> None:
    """Set what being late costs, in points, from the marks as they are now."""
    scores = [_score(grade) for grade in mine.grades]
    mine.late_submission_penalty = round(share * sum(scores), 6) if share else None


def _score(grade: Any) -> float:
    """nbgrader's rule: the mark by hand before the automatic one, and extra credit on top."""
    first = grade.manual_score if grade.manual_score is not None else grade.auto_score
    return float(first or 0.0) + float(grade.extra_credit or 0.0)
