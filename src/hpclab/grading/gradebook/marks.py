"""Students and their submissions in nbgrader's database: marks written from a plan, and read as scores.

Scores and comments set by hand are never changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from nbgrader.api import (
    Comment,
    Grade,
    MissingEntry,
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


class CellScore(msgspec.Struct, frozen=True, kw_only=True):
    """The score of one test. ``auto`` None: not graded yet."""

    test: str
    points: float
    auto: float | None = None
    manual: float | None = None
    extra: float | None = None
    needs_look: bool = False

    @property
    def score(self) -> float:
        """The score by nbgrader's rule: the manual score before the automatic one, plus extra credit."""
        base = self.manual if self.manual is not None else self.auto
        return float(base or 0.0) + float(self.extra or 0.0)


class StudentScores(msgspec.Struct, frozen=True, kw_only=True):
    """One student's scores for one lab. ``comments`` are those written by hand, by the cell of the answer."""

    student: str
    received: float | None
    tests: tuple[CellScore, ...]
    comments: dict[str, str] = {}
    flagged: bool = False

    @property
    def score(self) -> float:
        """The sum before the penalty for being late."""
        return sum(test.score for test in self.tests)

    @property
    def auto(self) -> float:
        return sum(test.auto or 0.0 for test in self.tests)

    @property
    def points(self) -> float:
        return sum(test.points for test in self.tests)

    @property
    def by_hand(self) -> bool:
        """Whether an instructor changed a score."""
        return any(test.manual is not None or test.extra for test in self.tests)

    @property
    def needs_look(self) -> bool:
        return any(test.needs_look for test in self.tests)

    @property
    def marked(self) -> bool:
        return all(test.auto is not None or test.manual is not None for test in self.tests)


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A student's data for nbgrader, and by how much the lab's deadline is extended for them."""

    id: str
    name: str = ""
    email: str = ""
    lms: str = ""
    extension: timedelta | None = None


def to_utc(seconds: float) -> datetime:
    """Return a time as nbgrader stores it: UTC, without a zone."""
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
    """Split "Last, First" or "First Last" into first and last name; the last word of the latter is the last name."""
    last, comma, first = name.partition(",")
    if not comma:
        first, _, last = name.strip().rpartition(" ")
    # The formgrader shows a missing first name as "None".
    return printable_name(first.strip()) or ("" if last.strip() else None), printable_name(last.strip())


def printable_name(text: str) -> str | None:
    """Return a name that the formgrader can show: it inserts names into its pages unescaped, so tags are replaced."""
    return sanitize.line(text, 120).translate(NO_TAGS) or None


def read_submissions(book: Any, notebook: Any) -> dict[str, Any]:
    """Return every submitted notebook of ``notebook`` by student, with its grades and comments, in a few queries."""
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
    """Create a submission of this notebook, with empty grades and comments."""
    assignment = SubmittedAssignment(assignment=notebook.assignment, student_id=student)
    submission = SubmittedNotebook(notebook=notebook, assignment=assignment)
    book.db.add_all([assignment, submission])
    book.db.add_all(Grade(cell=cell, notebook=submission) for cell in notebook.grade_cells)
    book.db.add_all(Comment(cell=cell, notebook=submission) for cell in notebook.solution_cells)
    return submission


def read_scores(book: Any, lab: str) -> dict[str, StudentScores]:
    """Return the scores of every student who has a submission of ``lab`` in the gradebook."""
    try:
        notebook = book.find_notebook(lab, lab)
    except MissingEntry:
        return {}
    submissions = read_submissions(book, notebook)
    return {student: _scores_of(student, submissions[student]) for student in sorted(submissions)}


def _scores_of(student: str, submission: Any) -> StudentScores:
    return StudentScores(
        student=student,
        received=epoch_seconds(submission.assignment.timestamp),
        tests=tuple(
            CellScore(
                test=grade.cell.name,
                points=grade.cell.max_score,
                auto=grade.auto_score,
                manual=grade.manual_score,
                extra=grade.extra_credit,
                needs_look=bool(grade.needs_manual_grade),
            )
            for grade in sorted(submission.grades, key=lambda grade: str(grade.cell.name))
        ),
        comments={
            comment.cell.name: comment.manual_comment
            for comment in submission.comments
            if comment.manual_comment
        },
        flagged=bool(submission.flagged),
    )


def epoch_seconds(when: datetime | None) -> float | None:
    """Convert a time as nbgrader stores it to seconds since the epoch."""
    return when.replace(tzinfo=UTC).timestamp() if when else None
