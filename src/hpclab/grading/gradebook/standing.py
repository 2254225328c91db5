"""What the gradebook says of one student's lab: the automatic marks, what a person set by hand, and both together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from nbgrader.api import MissingEntry

from hpclab.grading.gradebook import marks


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The mark of one test. ``auto`` None: not marked yet."""

    test: str
    points: float
    auto: float | None = None
    manual: float | None = None
    extra: float | None = None
    needs_look: bool = False

    @property
    def score(self) -> float:
        """nbgrader's rule: the mark by hand before the automatic one, and extra credit on top."""
        first = self.manual if self.manual is not None else self.auto
        return float(first or 0.0) + float(self.extra or 0.0)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One student's lab. ``comments`` are those of a person, by the cell of the answer."""

    student: str
    received: float | None
    parts: tuple[Part, ...]
    comments: dict[str, str] = {}
    flagged: bool = False

    @property
    def score(self) -> float:
        """Before what being late costs."""
        return sum(part.score for part in self.parts)

    @property
    def auto(self) -> float:
        return sum(part.auto or 0.0 for part in self.parts)

    @property
    def points(self) -> float:
        return sum(part.points for part in self.parts)

    @property
    def by_hand(self) -> bool:
        """Whether a person changed a mark."""
        return any(part.manual is not None or part.extra for part in self.parts)

    @property
    def needs_look(self) -> bool:
        return any(part.needs_look for part in self.parts)

    @property
    def marked(self) -> bool:
        return all(part.auto is not None or part.manual is not None for part in self.parts)


def read(book: Any, lab: str) -> dict[str, Standing]:
    """Everybody who has a submission of ``lab`` in the gradebook."""
    try:
        notebook = book.find_notebook(lab, lab)
    except MissingEntry:
        return {}
    found = {student: _standing(student, mine) for student, mine in marks.submissions(book, notebook).items()}
    return dict(sorted(found.items()))


def _standing(student: str, mine: Any) -> Standing:
    return Standing(
        student=student,
        received=seconds(mine.assignment.timestamp),
        parts=tuple(
            Part(
                test=grade.cell.name,
                points=grade.cell.max_score,
                auto=grade.auto_score,
                manual=grade.manual_score,
                extra=grade.extra_credit,
                needs_look=bool(grade.needs_manual_grade),
            )
            for grade in sorted(mine.grades, key=lambda grade: str(grade.cell.name))
        ),
        comments={
            comment.cell.name: comment.manual_comment for comment in mine.comments if comment.manual_comment
        },
        flagged=bool(mine.flagged),
    )


def seconds(when: datetime | None) -> float | None:
    """A moment as nbgrader keeps it → seconds since the epoch."""
    return when.replace(tzinfo=UTC).timestamp() if when else None
