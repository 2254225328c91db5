"""Plausible wrong answers, kept beside an exercise, each with the marks it must get.

``EXERCISE/wrong/NAME.md`` is a MyST file. Its head has ``why`` (what is wrong)
and ``marks`` (points by test cell; tests that are not named get full points).
Its ``code-cell`` blocks carry ``:answer: ID`` and replace that answer cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jupytext.myst
import msgspec

from hpclab.errors import ExerciseError
from hpclab.exercises.source import Exercise, identity


class About(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The head of a wrong answer's file."""

    why: str
    marks: dict[str, float]


@dataclass(frozen=True)
class WrongAnswer:
    """One wrong answer: replacement sources by answer cell, and the marks it must get."""

    path: Path
    about: About
    answers: dict[str, str]


def load(path: Path, exercise: Exercise) -> WrongAnswer:
    """Read and check one wrong answer to ``exercise``. Raises ExerciseError."""
    try:
        notebook = jupytext.myst.myst_to_notebook(path.read_text(encoding="utf-8"))
        notebook.metadata.pop("jupytext", None)
        notebook.metadata.pop("jupyter", None)
        about = msgspec.convert(dict(notebook.metadata), About)
    except (OSError, ValueError, jupytext.myst.MystMetadataParsingError) as problem:
        cure = "Its head has 'why' and 'marks', its cells ':answer: ID'."
        raise ExerciseError(f"{path}: {problem}", cure) from None
    roles = {identity(cell): cell.metadata.hpclab.get("role") for cell in exercise.notebook.cells}
    answers = {
        cell.metadata.get("answer", ""): cell.source for cell in notebook.cells if cell.cell_type == "code"
    }
    known = sorted(name for name, role in roles.items() if role == "answer")
    tests = sorted(name for name, role in roles.items() if role in ("tests", "hidden-tests"))
    for name in answers:
        if name not in known:
            raise ExerciseError(f"{path}: no answer cell {name!r}", f"Answer cells: {', '.join(known)}.")
    for name in about.marks:
        if name not in tests:
            raise ExerciseError(f"{path}: no test cell {name!r}", f"Test cells: {', '.join(tests)}.")
    return WrongAnswer(path, about, answers)


def load_all(exercise: Exercise) -> list[WrongAnswer]:
    """Every wrong answer that is kept beside ``exercise``."""
    folder = exercise.path.with_suffix("") / "wrong"
    return [load(path, exercise) for path in sorted(folder.glob("*.md"))]
