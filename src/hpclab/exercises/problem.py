"""What is wrong with a file of an author: where, what, and the cure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hpclab.errors import ExerciseError


@dataclass(frozen=True, order=True)
class Problem:
    """One problem. ``line`` counts from 1; 0 stands for the file as a whole."""

    path: Path
    line: int
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.what}" if self.line else f"{self.path}: {self.what}"

    def error(self) -> ExerciseError:
        """The same as an exception."""
        return ExerciseError(str(self), self.cure)
