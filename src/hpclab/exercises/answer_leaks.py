"""Find hidden tests and answers that the learner's notebook reveals.

A heuristic with few false alarms. Only the lines of a hidden test with a condition count: none may be in the text,
and less than half of them in visible tests. Less than half of an answer may be in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nbformat import NotebookNode

from hpclab.exercises import views
from hpclab.exercises.cells import solution_lines
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise

CONDITION = re.compile(r"[=!<>]=|[<>]|\b(assert|in|is|not|any|all|isclose|allclose)\b")
STRING = re.compile(r"""(["']).*?\1""")
MIN_TOTAL_CHARACTERS = 30  # of all revealed lines together
MIN_LINE_CHARACTERS = 15  # shorter lines reveal nothing


def find_problems(exercise: Exercise) -> Iterator[Problem]:
    """Yield the hidden tests and answers that the learner's notebook of ``exercise`` reveals."""
    shown = views.student_view(exercise).cells
    tests = _join_sources(cell for cell in shown if cell.metadata.get("nbgrader", {}).get("grade"))
    elsewhere = _join_sources(cell for cell in shown if not cell.metadata.get("nbgrader", {}).get("grade"))
    text = _join_sources(cell for cell in shown if cell.cell_type == "markdown")
    for cell in exercise.notebook.cells:
        role = cell.metadata.hpclab.get("role")
        if role == "hidden-tests":
            lines = [line for line in _significant_lines(cell.source.splitlines()) if _has_condition(line)]
            if revealed := _revealed_half(lines, tests) or [line for line in lines if line in elsewhere]:
                remedy = "Rewrite the visible text, or make this a visible test."
                yield _problem(
                    exercise,
                    cell,
                    "the learner's notebook shows what this hidden test checks",
                    revealed,
                    remedy,
                )
        elif role == "answer" and (
            revealed := _revealed_half(_significant_lines(solution_lines(cell.source)), text)
        ):
            remedy = "Let the hint describe the way without the code."
            yield _problem(exercise, cell, "the text reveals this answer", revealed, remedy)


def _revealed_half(lines: list[str], text: str) -> list[str]:
    """The lines that are in ``text``, if they are at least half of all and not too short; else none."""
    revealed = [line for line in lines if line in text]
    return (
        revealed
        if 2 * len(revealed) >= len(lines) and sum(map(len, revealed)) >= MIN_TOTAL_CHARACTERS
        else []
    )


def _join_sources(cells: Iterable[NotebookNode]) -> str:
    return _collapse_spaces("\n".join(cell.source for cell in cells))


def _problem(exercise: Exercise, cell: NotebookNode, what: str, lines: list[str], remedy: str) -> Problem:
    return Problem(exercise.path, cell.metadata.hpclab.line, f"{what}: {'; '.join(lines)}", remedy)


def _significant_lines(lines: list[str]) -> list[str]:
    collapsed = [_collapse_spaces(line) for line in lines]
    return [
        line
        for line in collapsed
        if len(line) >= MIN_LINE_CHARACTERS and not line.startswith(("# ", "import ", "from "))
    ]


def _has_condition(line: str) -> bool:
    return not line.startswith("for ") and bool(CONDITION.search(STRING.sub("", line)))


def _collapse_spaces(text: str) -> str:
    return " ".join(text.split())
