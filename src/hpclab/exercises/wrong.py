"""Plausible wrong answers, kept beside an exercise, each with the marks it must get.

``EXERCISE/wrong/NAME.md`` is a MyST file. Its head has ``why`` (what is wrong)
and ``marks`` (points by test cell; tests that are not named get full points).
Its ``code-cell`` blocks carry ``:answer: ID`` and replace that answer cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from nbformat import NotebookNode

from hpclab.exercises import source
from hpclab.exercises.cells import GRADED, identity
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise


class About(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The head of a wrong answer's file."""

    why: str
    marks: dict[str, float]


@dataclass(frozen=True)
class WrongAnswer:
    """One wrong answer: replacement sources by answer cell, and the marks it must get.

    ``tasks`` are the tasks that it touches: whose answer it replaces or whose marks it changes.
    """

    path: Path
    about: About
    answers: dict[str, str]
    tasks: frozenset[str]


def load(path: Path, exercise: Exercise) -> WrongAnswer:
    """Read and check one wrong answer to ``exercise``. Raises ExerciseError."""
    answer, problems = examine(path, exercise)
    if problems or answer is None:
        raise problems[0].error()
    return answer


def examine(path: Path, exercise: Exercise) -> tuple[WrongAnswer | None, list[Problem]]:
    """The wrong answer at ``path``, or every problem that it has."""
    text = source.read(path)
    if isinstance(text, Problem):
        return None, [text]
    found = source.cut(text, path)
    if isinstance(found, list):
        return None, found
    notebook, starts = found
    try:
        about = msgspec.convert(dict(notebook.metadata), About)
    except msgspec.ValidationError as problem:
        return None, [
            Problem(path, 1, str(problem), "Its head has 'why' and 'marks', its cells ':answer: ID'.")
        ]
    cells = [
        (line, cell) for line, cell in zip(starts, notebook.cells, strict=True) if cell.cell_type == "code"
    ]
    if problems := list(_problems(path, about, cells, exercise)):
        return None, problems
    answers = {str(cell.metadata.answer): cell.source for _, cell in cells}
    task_of = {identity(cell): cell.metadata.hpclab.get("exercise") for cell in exercise.notebook.cells}
    touched = frozenset(task_of[name] for name in (*answers, *about.marks))
    return WrongAnswer(path, about, answers, touched), []


def _problems(
    path: Path, about: About, cells: list[tuple[int, NotebookNode]], exercise: Exercise
) -> Iterator[Problem]:
    roles = {identity(cell): cell.metadata.hpclab.get("role") for cell in exercise.notebook.cells}
    known = sorted(name for name, role in roles.items() if role == "answer")
    full = _full_marks(exercise)
    seen: set[str] = set()
    for line, cell in cells:
        name = str(cell.metadata.get("answer", ""))
        if name not in known:
            yield Problem(path, line, f"no answer cell {name!r}", f"Answer cells: {', '.join(known)}.")
        if name in seen:
            yield Problem(path, line, f"{name!r} is replaced twice", "Keep one of the two cells.")
        seen.add(name)
    if not cells:
        yield Problem(path, 0, "it replaces no answer", "Add a code-cell with ':answer: ID'.")
    for name, points in about.marks.items():
        if name not in full:
            yield Problem(path, 1, f"no test cell {name!r}", f"Test cells: {', '.join(sorted(full))}.")
        elif not 0 <= points < full[name]:
            cure = f"Less than {full[name]:g}: 'marks' names only the tests that lose points."
            yield Problem(path, 1, f"{points:g} points for {name!r}", cure)
    if not about.marks:
        yield Problem(path, 1, "it loses no points", "Name in 'marks' the tests that must fail.")


def load_all(exercise: Exercise) -> list[WrongAnswer]:
    """Every wrong answer that is kept beside ``exercise``. Raises ExerciseError at the first bad one."""
    return [load(path, exercise) for path in files(exercise)]


def files(exercise: Exercise) -> list[Path]:
    """The files of the wrong answers of ``exercise``."""
    return sorted((exercise.path.with_suffix("") / "wrong").glob("*.md"))


def rounds(wrongs: Sequence[WrongAnswer]) -> list[list[WrongAnswer]]:
    """Wrong answers that can be tried in one run: within a round no two touch the same task.

    Few rounds, and the same ones each time. As many as the most troubled task has
    wrong answers, where each touches one task.
    """
    result: list[list[WrongAnswer]] = []
    for one in sorted(wrongs, key=lambda wrong: (-len(wrong.tasks), str(wrong.path))):
        for together in result:
            if not any(one.tasks & other.tasks for other in together):
                together.append(one)
                break
        else:
            result.append([one])
    return result


def expected_marks(exercise: Exercise, together: Sequence[WrongAnswer]) -> dict[str, float]:
    """Points by test cell that a run with these wrong answers must give; none given: full marks."""
    return _full_marks(exercise) | {
        name: points for one in together for name, points in one.about.marks.items()
    }


def _full_marks(exercise: Exercise) -> dict[str, float]:
    return {
        identity(cell): float(cell.metadata.hpclab.points)
        for cell in exercise.notebook.cells
        if cell.metadata.hpclab.get("role") in GRADED
    }
