"""Find required parts that are missing from a lab: sections, hints, tasks, wrong answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hpclab.exercises import wrong_answers
from hpclab.exercises.cells import GRADED
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise

POINTS = 10
TASKS = range(3, 7)
WRONG_ANSWERS = 4
HINTS = ("Hint 1", "Hint 2", "Hint 3")
HINT = re.compile(r"^\s*(?::{3,}|`{3,})\{dropdown\}\s*(Hint \d+)", re.MULTILINE)
SECTIONS = {
    "Break it": "inject one fault, find it and repair it, under a heading with the words 'Break it'",
    "On a real machine": "the same steps on Perlmutter and on another cluster, flags shown",
    "Summary": "the points to remember",
}
HEADING = re.compile(r"^#{1,6}\s+(.*)$", re.MULTILINE)
MISTAKES = re.compile(r"three mistakes.*?\n(.*?)(?=\n#|\Z)", re.IGNORECASE | re.DOTALL)


def find_problems(exercise: Exercise) -> Iterator[Problem]:
    """Yield the parts that are missing from ``exercise``."""
    path, cells = exercise.path, exercise.notebook.cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    roles = [cell.metadata.hpclab.get("role") for cell in cells]
    if exercise.about.points != POINTS:
        yield Problem(
            path,
            1,
            f"the lab has {exercise.about.points:g} points",
            f"Set 'points: {POINTS}' in the front matter, as in every lab.",
        )
    if "you will be able to" not in text.lower():
        yield Problem(path, 1, "the learning goals are missing", "Begin with 'You will be able to …'.")
    if "predict" not in roles:
        remedy = "Add a code-cell with ':role: predict' before something surprising."
        yield Problem(path, 0, "no cell asks for a prediction", remedy)
    headings = [found[1].lower() for found in HEADING.finditer(text)]
    for title, content in SECTIONS.items():
        if not any(title.lower() in heading for heading in headings):
            yield Problem(path, 0, f"no section '{title}'", f"Add it: {content}.")
    mistakes = MISTAKES.search(text)
    if not mistakes or len(re.findall(r"^\d\. ", mistakes[1], re.MULTILINE)) != 3:
        remedy = "End with 'The three mistakes people make most' and a numbered list of three."
        yield Problem(path, 0, "the three mistakes people make most are missing", remedy)
    yield from _find_task_problems(exercise)
    if (count := len(wrong_answers.list_files(exercise))) < WRONG_ANSWERS:
        folder = exercise.path.with_suffix("") / "wrong"
        remedy = f"Add plausible ones to {folder}: at least {WRONG_ANSWERS}."
        yield Problem(path, 0, f"the lab has {count} wrong answers", remedy)


def _find_task_problems(exercise: Exercise) -> Iterator[Problem]:
    """Check the number of tasks, and that each has its three hints before its last test."""
    lines: dict[str, int] = {}
    hints: dict[str, list[str]] = {}
    unassigned: list[str] = []
    for cell in exercise.notebook.cells:
        mark = cell.metadata.hpclab
        if mark.get("role") == "answer":
            lines.setdefault(mark.exercise, mark.line)
        if cell.cell_type == "markdown":
            unassigned += HINT.findall(cell.source)
        if mark.get("role") in GRADED:
            hints.setdefault(mark.exercise, []).extend(unassigned)
            unassigned = []
    if len(lines) not in TASKS:
        remedy = f"A lab has {TASKS[0]} to {TASKS[-1]} tasks."
        yield Problem(exercise.path, 0, f"the lab has {len(lines)} graded tasks", remedy)
    for task, line in lines.items():
        if tuple(hints.get(task, ())) != HINTS:
            present = ", ".join(hints.get(task, ())) or "none"
            remedy = "Give it ':::{dropdown} Hint 1: …' to 'Hint 3: …', in this order, between its answer and its tests."
            yield Problem(exercise.path, line, f"the hints of {task!r} are: {present}", remedy)
