"""Plausible wrong answers to a lab's tasks, each with the marks that it must get.

``EXERCISE/wrong/NAME.md`` is a MyST file. Its front matter has ``why`` (what is wrong) and
``marks`` (points by test cell; other tests get full points). Its ``code-cell`` blocks have ``:answer: ID`` and
replace that answer cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from nbformat import NotebookNode

from hpclab.exercises import source
from hpclab.exercises.cells import GRADED, cell_id
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise


class WrongAnswerInfo(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The front matter of a wrong answer's file."""

    why: str
    marks: dict[str, float]


@dataclass(frozen=True)
class WrongAnswer:
    """A wrong answer: replacement sources by answer cell, and the marks that it must get.

    ``tasks`` are the tasks whose answer it replaces or whose marks it changes.
    """

    path: Path
    about: WrongAnswerInfo
    answers: dict[str, str]
    tasks: frozenset[str]


def load(path: Path, exercise: Exercise) -> WrongAnswer:
    """Read and check one wrong answer to ``exercise``. Raises ExerciseError."""
    answer, problems = examine(path, exercise)
    if problems or answer is None:
        raise problems[0].to_error()
    return answer


def examine(path: Path, exercise: Exercise) -> tuple[WrongAnswer | None, list[Problem]]:
    """Return the wrong answer at ``path``, or every problem that it has."""
    text = source.read(path)
    if isinstance(text, Problem):
        return None, [text]
    parts = source.split_cells(text, path)
    if isinstance(parts, list):
        return None, parts
    notebook, starts = parts
    try:
        about = msgspec.convert(dict(notebook.metadata), WrongAnswerInfo)
    except msgspec.ValidationError as problem:
        return None, [
            Problem(
                path, 1, str(problem), "The front matter has 'why' and 'marks', the cells have ':answer: ID'."
            )
        ]
    cells = [
        (line, cell) for line, cell in zip(starts, notebook.cells, strict=True) if cell.cell_type == "code"
    ]
    if problems := list(_problems(path, about, cells, exercise)):
        return None, problems
    answers = {str(cell.metadata.answer): cell.source for _, cell in cells}
    task_of = {cell_id(cell): cell.metadata.hpclab.get("exercise") for cell in exercise.notebook.cells}
    tasks = frozenset(task_of[name] for name in (*answers, *about.marks))
    return WrongAnswer(path, about, answers, tasks), []


def _problems(
    path: Path, about: WrongAnswerInfo, cells: list[tuple[int, NotebookNode]], exercise: Exercise
) -> Iterator[Problem]:
    roles = {cell_id(cell): cell.metadata.hpclab.get("role") for cell in exercise.notebook.cells}
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
        yield Problem(path, 0, "the file replaces no answer", "Add a code-cell with ':answer: ID'.")
    for name, points in about.marks.items():
        if name not in full:
            yield Problem(path, 1, f"no test cell {name!r}", f"Test cells: {', '.join(sorted(full))}.")
        elif not 0 <= points < full[name]:
            remedy = f"Give less than {full[name]:g}: 'marks' lists only tests that lose points."
            yield Problem(path, 1, f"{points:g} points for {name!r} are not possible", remedy)
    if not about.marks:
        yield Problem(
            path, 1, "the wrong answer loses no points", "List the tests that must fail in 'marks'."
        )


def load_all(exercise: Exercise) -> list[WrongAnswer]:
    """Load every wrong answer to ``exercise``. Raises ExerciseError at the first invalid one."""
    return [load(path, exercise) for path in list_files(exercise)]


def list_files(exercise: Exercise) -> list[Path]:
    """List the files of the wrong answers to ``exercise``."""
    return sorted((exercise.path.with_suffix("") / "wrong").glob("*.md"))


def plan_rounds(answers: Sequence[WrongAnswer]) -> list[list[WrongAnswer]]:
    """Group wrong answers into rounds that can be tried in one run: no two of a round touch the same task.

    The result is deterministic. If each answer touches one task, there are as many rounds as the largest number of
    wrong answers to a task.
    """
    result: list[list[WrongAnswer]] = []
    for answer in sorted(answers, key=lambda answer: (-len(answer.tasks), str(answer.path))):
        for answers_of_round in result:
            if not any(answer.tasks & other.tasks for other in answers_of_round):
                answers_of_round.append(answer)
                break
        else:
            result.append([answer])
    return result


def expected_marks(exercise: Exercise, answers: Sequence[WrongAnswer]) -> dict[str, float]:
    """Return the points by test cell that a run with these wrong answers must give."""
    return _full_marks(exercise) | {
        name: points for answer in answers for name, points in answer.about.marks.items()
    }


def _full_marks(exercise: Exercise) -> dict[str, float]:
    return {
        cell_id(cell): float(cell.metadata.hpclab.points)
        for cell in exercise.notebook.cells
        if cell.metadata.hpclab.get("role") in GRADED
    }
