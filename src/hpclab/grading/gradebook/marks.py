"""Planned marks → rows of nbgrader's database. Scores and comments set by hand are never changed."""

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
from hpclab.grading.gradebook.plan import PlannedMarks

# The formgrader shows names unescaped; these look alike and mean nothing in HTML.
NO_TAGS = {ord("<"): "\u2039", ord(">"): "\u203a", ord("&"): "\uff06", ord('"'): "\u201d"}


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """What nbgrader keeps of a student, and by how much the lab's deadline is extended for them."""

    id: str
    name: str = ""
    email: str = ""
    lms: str = ""
    extension: timedelta | None = None


def to_utc(seconds: float) -> datetime:
    """A time as nbgrader keeps it: UTC, without a zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def enrol(book: Any, people: Iterable[Enrolment]) -> None:
    """Add or update these students in the database, from the course's settings."""
    known = {student.id: student for student in book.students}
    for person in people:
        student = known.get(person.id)
        if student is None:
            student = Student(id=person.id)
            book.db.add(student)
        first, last = split_name(person.name)
        student.first_name, student.last_name = first, last
        student.email, student.lms_user_id = printable_name(person.email), printable_name(person.lms)


def split_name(name: str) -> tuple[str | None, str | None]:
    """First and last name from "Last, First" or "First Last"; the last word of the latter is the last name."""
    last, comma, first = name.partition(",")
    if not comma:
        first, _, last = name.strip().rpartition(" ")
    # The formgrader shows a missing first name as "None".
    return printable_name(first.strip()) or ("" if last.strip() else None), printable_name(last.strip())


def printable_name(text: str) -> str | None:
    """A name that the formgrader can show: it puts names into its pages unescaped, so they may hold no tags."""
    return sanitize.line(text, 120).translate(NO_TAGS) or None


def read_submissions(book: Any, notebook: Any) -> dict[str, Any]:
    """Every submitted notebook of ``notebook`` by student, with its grades and comments, in a few queries."""
    query = select(SubmittedNotebook).where(SubmittedNotebook.notebook_id == notebook.id)
    query = query.options(
        joinedload(SubmittedNotebook.assignment),
        selectinload(SubmittedNotebook.grades).joinedload(Grade.cell),
        selectinload(SubmittedNotebook.comments).joinedload(Comment.cell),
    )
    return {submission.assignment.student_id: submission for submission in book.db.scalars(query)}


def write_marks(
    book: Any, notebook: Any, submissions: dict[str, Any], plan: PlannedMarks, person: Enrolment
) -> None:
    """Write one student's planned marks into ``submissions``, which gets a new entry where there is none.

    A score set by hand stays; if the score below it changes, the formgrader asks for manual grading.
    """
    if plan.student not in submissions:
        submissions[plan.student] = _add_submission(book, notebook, plan.student)
    submission = submissions[plan.student]
    when = to_utc(plan.received)
    grades = {grade.cell.name: grade for grade in submission.grades}
    same_version = submission.assignment.timestamp == when
    unchanged = same_version and all(grades[name].auto_score == score for name, score in plan.scores.items())
    submission.assignment.timestamp, submission.assignment.extension = when, person.extension
    for name, score in plan.scores.items():
        grade = grades[name]
        changed = grade.auto_score != score or not same_version
        by_hand = grade.manual_score is not None
        grade.auto_score = score
        if not unchanged if plan.review else by_hand and changed:
            grade.needs_manual_grade = True
        elif not plan.review and not by_hand:
            grade.needs_manual_grade = False
    for comment in submission.comments:
        comment.auto_comment = plan.comments.get(comment.cell.name) or None
    if plan.review and not unchanged:
        submission.flagged = True


def _add_submission(book: Any, notebook: Any, student: str) -> Any:
    """A new submission of this notebook, with empty grades and comments."""
    assignment = SubmittedAssignment(assignment=notebook.assignment, student_id=student)
    submission = SubmittedNotebook(notebook=notebook, assignment=assignment)
    book.db.add_all([assignment, submission])
    book.db.add_all(Grade(cell=cell, notebook=submission) for cell in notebook.grade_cells)
    book.db.add_all(Comment(cell=cell, notebook=submission) for cell in notebook.solution_cells)
    return submission
