"""The scores of one student's lab as the gradebook has them: automatic ones, those set by hand, and both together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from nbgrader.api import MissingEntry

from hpclab.grading.gradebook import marks


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
        """nbgrader's rule: the manual score before the automatic one, plus extra credit."""
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


def read_scores(book: Any, lab: str) -> dict[str, StudentScores]:
    """The scores of every student who has a submission of ``lab`` in the gradebook."""
    try:
        notebook = book.find_notebook(lab, lab)
    except MissingEntry:
        return {}
    submissions = marks.read_submissions(book, notebook)
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
    """A time as nbgrader keeps it → seconds since the epoch."""
    return when.replace(tzinfo=UTC).timestamp() if when else None
