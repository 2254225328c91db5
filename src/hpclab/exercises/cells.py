"""The options of an author's cells, and the problems that they can have.

exercise  the task that the cell belongs to
role      answer, tests, hidden-tests or predict
points    what the tests are worth (tests and hidden-tests only)
part      a name that distinguishes several cells of one role and task
tags      as in Jupyter

An answer's solution is between ``### BEGIN SOLUTION`` and ``### END SOLUTION``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import nbformat
from nbformat import NotebookNode

ROLES = ("answer", "tests", "hidden-tests", "predict")
OPTIONS = ("exercise", "role", "points", "part", "tags")
GRADED = ("tests", "hidden-tests")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # also a valid cell id and nbgrader id
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
# nbgrader acts on these marks anywhere in a cell; only the views may write them.
RESERVED = re.compile(r"(BEGIN|END) (HIDDEN TESTS|MARK SCHEME)|### (HASHED )?AUTOTEST")


def cell_id(cell: NotebookNode) -> str:
    """Return the cell's id, which is also its nbgrader id, from its options; empty for ordinary cells."""
    mark = cell.metadata.hpclab
    if not mark.get("role") or not mark.get("exercise"):
        return ""
    suffix = "" if mark.role == "answer" else mark.role
    return "-".join(str(part) for part in (mark.exercise, suffix, mark.get("part")) if part)


def keep_options(cell: NotebookNode, line: int, first: int) -> None:
    """Move the options to ``metadata.hpclab``; tags stay where Jupyter expects them.

    ``line`` is the line in the file where the cell begins, ``first`` the line where its text begins.
    """
    options = {key: value for key, value in cell.metadata.items() if key in OPTIONS}
    tags = options.pop("tags", [])
    # YAML reads 1, 2020-01-01 and [a] as other types; here they are names, although invalid ones.
    for key in ("exercise", "role", "part"):
        if options.get(key) is not None:
            options[key] = str(options[key])
    kept: dict[str, object] = {"hpclab": {**options, "line": line, "first": first}}
    cell.metadata = nbformat.from_dict(kept | ({"tags": tags} if tags else {}))  # type: ignore[no-untyped-call]


def solution_lines(source: str) -> list[str]:
    """Return the lines of the solution, which the learner's notebook does not have."""
    lines: list[str] = []
    inside = False
    for line in source.splitlines():
        if BEGIN in line or END in line:
            inside = BEGIN in line
        elif inside:
            lines.append(line)
    return lines


def find_problems(cell: NotebookNode) -> Iterator[tuple[str, str]]:
    """Yield the problems of one cell as it was read, each with its remedy."""
    options = dict(cell.metadata)
    for key in options:
        if key not in OPTIONS:
            close = difflib.get_close_matches(str(key), OPTIONS, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            yield f"unknown cell option {key!r}", f"{hint}Valid: {', '.join(OPTIONS)}."
    role, task, points = options.get("role"), options.get("exercise"), options.get("points")
    if role is not None and role not in ROLES:
        yield f"unknown role {role!r}", f"Valid roles: {', '.join(ROLES)}."
        return
    if (role is None) != (task is None):
        yield "'exercise' and 'role' belong together, and one is missing", "Add the other option."
    for key in ("exercise", "part"):
        if options.get(key) is not None and not NAME.fullmatch(str(options[key])):
            yield f"{key} {options[key]!r} is not a valid name", "Use lower-case letters, digits and hyphens."
    if role in GRADED and points is None:
        yield f"the tests of {task!r} have no points", "Add ':points: N'."
    if role not in GRADED and points is not None:
        yield f"points on a cell with the role {role}", "Only tests and hidden-tests have points."
    elif points is not None and not (_is_number(points) and points > 0):
        yield f"points {points!r} are invalid", "Points are a number above zero."
    if role and cell.cell_type != "code":
        yield f"a text cell with the role {role}", "Roles belong to code cells."
    if mark := RESERVED.search(cell.source):
        yield f"the text {mark[0]!r}, to which nbgrader gives a meaning", "Use other words."
    yield from _solution_problems(cell.source, role)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _solution_problems(source: str, role: str | None) -> Iterator[tuple[str, str]]:
    inside = False
    regions = 0
    for line in source.splitlines():
        if BEGIN in line:
            if inside:
                yield f"'{BEGIN}' twice in this cell without '{END}'", f"Add '{END}'."
            inside, regions = True, regions + 1
        elif END in line:
            if not inside:
                yield f"'{END}' without '{BEGIN}' in this cell", f"Add '{BEGIN}'."
                regions += 1
            inside = False
    if inside:
        yield f"'{BEGIN}' in this cell has no '{END}'", f"Add '{END}'."
    if regions and role != "answer":
        yield "a solution in a cell without the role answer", "Give the cell ':role: answer'."
    if role == "answer" and not regions:
        yield "this answer shows its solution to the learner", f"Put it between '{BEGIN}' and '{END}'."


def find_task_problems(notebook: NotebookNode, points: float) -> Iterator[tuple[int, str, str]]:
    """Yield tasks without answers or tests, duplicate ids, and a sum of points other than ``points``."""
    seen: dict[str, int] = {}
    roles: dict[str, dict[str, int]] = {}
    total: float = 0
    for cell in notebook.cells:
        mark = cell.metadata.hpclab
        name = cell_id(cell)
        if not name:
            continue
        if name in seen:
            remedy = "Rename the task, or distinguish its cells with ':part: NAME'."
            yield mark.line, f"the id {name!r} is already used in line {seen[name]}", remedy
        if len(name) > 64:
            yield mark.line, f"the id {name!r} is too long", "A cell id has at most 64 characters."
        seen.setdefault(name, mark.line)
        roles.setdefault(mark.exercise, {}).setdefault(mark.role, mark.line)
        if _is_number(mark.get("points")):
            total += mark.points
    for task, lines in roles.items():
        if "answer" in lines and not set(GRADED) & lines.keys():
            yield lines["answer"], f"the answer of {task!r} has no tests", "Add a cell with ':role: tests'."
        for role in GRADED:
            if role in lines and "answer" not in lines:
                yield lines[role], f"the {role} of {task!r} have no answer cell", "Add ':role: answer'."
    if total != points:
        yield (
            1,
            f"the tests add up to {total:g} points, but the front matter says {points}",
            "Change one of them.",
        )
