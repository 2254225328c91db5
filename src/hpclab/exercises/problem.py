"""A problem in an author's file: where, what, and its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hpclab.errors import ExerciseError


@dataclass(frozen=True, order=True)
class Problem:
    """A problem in an author's file. ``line`` counts from 1; 0 means the whole file."""

    path: Path
    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.what}" if self.line else f"{self.path}: {self.what}"

    def to_error(self) -> ExerciseError:
        """Return the problem as an exception."""
        return ExerciseError(str(self), self.remedy)
