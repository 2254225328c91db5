"""The form of every exercise: the parts that a learner may count on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hpclab.exercises import wrong
from hpclab.exercises.cells import GRADED
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise

POINTS = 10
TASKS = range(3, 7)
WRONG_ANSWERS = 4
HINTS = ("Hint 1", "Hint 2", "Hint 3")
HINT = re.compile(r"^\s*(?::{3,}|`{3,})\{dropdown\}\s*(Hint \d+)", re.MULTILINE)
SECTIONS = {
    "Break it": "one fault is injected, found and mended: a heading with the words 'Break it'",
    "On a real machine": "the same steps on Perlmutter and on another cluster, flags shown",
    "Summary": "what to keep in mind",
}
HEADING = re.compile(r"^#{1,6}\s+(.*)$", re.MULTILINE)
MISTAKES = re.compile(r"three mistakes.*?\n(.*?)(?=\n#|\Z)", re.IGNORECASE | re.DOTALL)


def problems(exercise: Exercise) -> Iterator[Problem]:
    """Parts that are missing from ``exercise``."""
    path, cells = exercise.path, exercise.notebook.cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    roles = [cell.metadata.hpclab.get("role") for cell in cells]
    if exercise.about.points != POINTS:
        yield Problem(
            path, 1, f"it is worth {exercise.about.points:g} points", f"Each lab has {POINTS} points."
        )
    if "you will be able to" not in text.lower():
        yield Problem(path, 1, "it does not say what the learner gains", "Open with 'You will be able to …'.")
    if "predict" not in roles:
        cure = "Add a code-cell with ':role: predict' before something surprising."
        yield Problem(path, 0, "the learner predicts nothing", cure)
    headings = [found[1].lower() for found in HEADING.finditer(text)]
    for words, why in SECTIONS.items():
        if not any(words.lower() in heading for heading in headings):
            yield Problem(path, 0, f"no section '{words}'", f"Add it: {why}.")
    found = MISTAKES.search(text)
    if not found or len(re.findall(r"^\d\. ", found[1], re.MULTILINE)) != 3:
        cure = "End with 'The three mistakes people make most' and a numbered list of three."
        yield Problem(path, 0, "the three mistakes people make most are missing", cure)
    yield from _tasks(exercise)
    if (count := len(wrong.files(exercise))) < WRONG_ANSWERS:
        folder = exercise.path.with_suffix("") / "wrong"
        cure = f"Add plausible ones to {folder}: at least {WRONG_ANSWERS}."
        yield Problem(path, 0, f"it has {count} wrong answers", cure)


def _tasks(exercise: Exercise) -> Iterator[Problem]:
    """How many tasks there are, and whether each has its three hints somewhere before its last test."""
    lines: dict[str, int] = {}
    hints: dict[str, list[str]] = {}
    waiting: list[str] = []
    for cell in exercise.notebook.cells:
        mark = cell.metadata.hpclab
        if mark.get("role") == "answer":
            lines.setdefault(mark.exercise, mark.line)
        if cell.cell_type == "markdown":
            waiting += HINT.findall(cell.source)
        if mark.get("role") in GRADED:
            hints.setdefault(mark.exercise, []).extend(waiting)
            waiting = []
    if len(lines) not in TASKS:
        cure = f"A lab has {TASKS[0]} to {TASKS[-1]} tasks."
        yield Problem(exercise.path, 0, f"it has {len(lines)} graded tasks", cure)
    for task, line in lines.items():
        if tuple(hints.get(task, ())) != HINTS:
            said = ", ".join(hints.get(task, ())) or "none"
            cure = "Give it ':::{dropdown} Hint 1: …' to 'Hint 3: …', in this order, between its answer and its tests."
            yield Problem(exercise.path, line, f"the hints of {task!r}: {said}", cure)
