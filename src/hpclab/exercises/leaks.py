"""What a learner must not read in the notebook: the lines of hidden tests, and whole answers.

A rule of thumb, meant to be quiet where nothing is wrong. Of a hidden test only
lines that decide something count; visible tests may ask some of the same, not
half of it. Of an answer a single line may be named in the text, not half of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nbformat import NotebookNode

from hpclab.exercises import views
from hpclab.exercises.cells import solution
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise

DECIDES = re.compile(r"[=!<>]=|[<>]|\b(assert|in|is|not|any|all|isclose|allclose)\b")
STRING = re.compile(r"""(["']).*?\1""")
LITTLE = 30  # characters in all
SHORT = 15  # characters; shorter lines say nothing of their own


def problems(exercise: Exercise) -> Iterator[Problem]:
    """Where the learner's notebook of ``exercise`` gives something away."""
    shown = views.student_view(exercise).cells
    tests = _joined(cell for cell in shown if cell.metadata.get("nbgrader", {}).get("grade"))
    elsewhere = _joined(cell for cell in shown if not cell.metadata.get("nbgrader", {}).get("grade"))
    text = _joined(cell for cell in shown if cell.cell_type == "markdown")
    for cell in exercise.notebook.cells:
        role = cell.metadata.hpclab.get("role")
        if role == "hidden-tests":
            lines = [line for line in _telling(cell.source.splitlines()) if _decides(line)]
            if given := _half(lines, tests) or [line for line in lines if line in elsewhere]:
                cure = "Say it otherwise where the learner sees it, or make it a visible test."
                yield _problem(exercise, cell, "the learner sees what this hidden test asks", given, cure)
        elif role == "answer" and (given := _half(_telling(solution(cell.source)), text)):
            cure = "A hint points the way; the answer is for the learner to write."
            yield _problem(exercise, cell, "the text gives this answer away", given, cure)


def _half(lines: list[str], text: str) -> list[str]:
    """The lines that ``text`` holds, if they are half of all or more, and more than the name of a command."""
    given = [line for line in lines if line in text]
    return given if 2 * len(given) >= len(lines) and sum(map(len, given)) >= LITTLE else []


def _joined(cells: Iterable[NotebookNode]) -> str:
    return _squeezed("\n".join(cell.source for cell in cells))


def _problem(exercise: Exercise, cell: NotebookNode, what: str, lines: list[str], cure: str) -> Problem:
    return Problem(exercise.path, cell.metadata.hpclab.line, f"{what}: {'; '.join(lines)}", cure)


def _telling(lines: list[str]) -> list[str]:
    squeezed = [_squeezed(line) for line in lines]
    return [
        line for line in squeezed if len(line) >= SHORT and not line.startswith(("# ", "import ", "from "))
    ]


def _decides(line: str) -> bool:
    return not line.startswith("for ") and bool(DECIDES.search(STRING.sub("", line)))


def _squeezed(text: str) -> str:
    return " ".join(text.split())
