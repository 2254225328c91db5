"""Read an author's text file: one MyST document becomes one checked Exercise.

The file opens with facts about the exercise (see About). Its ``code-cell``
blocks may carry options:

exercise  the task that the cell belongs to
role      answer, tests, hidden-tests or predict
points    what the tests are worth (tests and hidden-tests only)
part      tells several answer cells of one task apart
tags      as in Jupyter

An answer's solution stands between ``### BEGIN SOLUTION`` and ``### END SOLUTION``.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import jupytext.myst  # type: ignore[import-untyped,unused-ignore]
import msgspec
import nbformat
from nbformat import NotebookNode

from hpclab.errors import ExerciseError
from hpclab.exercises import fences

ROLES = ("answer", "tests", "hidden-tests", "predict")
OPTIONS = ("exercise", "role", "points", "part", "tags")
GRADED = ("tests", "hidden-tests")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # also a valid cell id and nbgrader id
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


class Cost(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What one headless run takes: wall time in seconds, and CPUs it keeps busy."""

    seconds: int
    cpus: int


class About(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The head of an exercise's file."""

    title: str
    difficulty: int  # 1 to 4 stars
    minutes: int  # an honest guess for a first-time learner
    builds_on: list[str] = []
    points: int = 10
    cost: Cost


@dataclass(frozen=True)
class Exercise:
    """One exercise, read and checked. Cells carry their options under ``metadata.hpclab``."""

    path: Path
    about: About
    notebook: NotebookNode

    @property
    def module(self) -> str:
        """The folder's name, e.g. ``01-slurm-basics``."""
        return self.path.parent.name

    @property
    def name(self) -> str:
        """The exercise's own name, e.g. ``ex01-submit-monitor``."""
        return self.path.stem


def load(path: Path) -> Exercise:
    """Read and check the exercise at ``path``. Raises ExerciseError with line and cure."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ExerciseError(f"{path}: cannot be read: {problem}", "Give a MyST text file in UTF-8.") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Exercise:
    """Like ``load``, from text; ``path`` names the file in errors."""
    _check_fences(text, path)
    try:
        notebook = jupytext.myst.myst_to_notebook(text, add_source_map=True)
    except jupytext.myst.MystMetadataParsingError as problem:
        cure = "Cell options are YAML: one ':name: value' a line."
        raise ExerciseError(f"{path}: {problem}", cure) from None
    starts = notebook.metadata.pop("source_map")
    notebook.metadata.pop("jupytext", None)
    notebook.metadata.pop("jupyter", None)
    about = _about(dict(notebook.metadata), path)
    notebook.metadata = nbformat.from_dict({})  # type: ignore[no-untyped-call]
    for cell, line in zip(notebook.cells, starts, strict=True):
        _read_options(cell, _first_line(cell, line, text), path)
    _check_tasks(notebook, about, path)
    _set_ids(notebook)
    return Exercise(path, about, notebook)


def _fail(path: Path, line: int, what: str, cure: str) -> NoReturn:
    raise ExerciseError(f"{path}, line {line}: {what}", cure)


def _check_fences(text: str, path: Path) -> None:
    try:
        for _ in fences.outermost(text.splitlines()):
            pass
    except fences.Unbalanced as wrong:
        _fail(path, wrong.line, wrong.what, "Close the block with a fence of the same kind and length.")


def _about(head: dict[str, Any], path: Path) -> About:
    try:
        about = msgspec.convert(head, About)
    except msgspec.ValidationError as problem:
        raise ExerciseError(
            f"{path}, line 1: the head of the file: {problem}",
            f"It names, in YAML between two lines '---': {', '.join(About.__struct_fields__)}.",
        ) from None
    if about.difficulty not in range(1, 5):
        _fail(path, 1, f"difficulty is {about.difficulty}", "It counts stars: 1, 2, 3 or 4.")
    return about


def _first_line(cell: NotebookNode, start: int, text: str) -> int:
    """The line, counted from 1, where a person looks for this cell."""
    if cell.cell_type == "code":
        return start
    lines = text.splitlines()
    while start < len(lines) and not lines[start].strip():
        start += 1
    return start + 1


def _read_options(cell: NotebookNode, line: int, path: Path) -> None:
    """Check one cell's options and keep them, with its line, under ``metadata.hpclab``."""
    options = dict(cell.metadata)
    for key in options:
        if key not in OPTIONS:
            close = difflib.get_close_matches(key, OPTIONS, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            _fail(path, line, f"unknown cell option {key!r}", f"{hint}Valid: {', '.join(OPTIONS)}.")
    role, task, points = options.get("role"), options.get("exercise"), options.get("points")
    if role is not None and role not in ROLES:
        _fail(path, line, f"unknown role {role!r}", f"Valid roles: {', '.join(ROLES)}.")
    if (role is None) != (task is None):
        _fail(path, line, "'exercise' and 'role' come together; one is missing", "Add the other option.")
    for key in ("exercise", "part"):
        if options.get(key) is not None and not NAME.fullmatch(str(options[key])):
            _fail(
                path,
                line,
                f"{key} {options[key]!r} is no name",
                "Use lower-case letters, digits and hyphens.",
            )
    if role in GRADED and points is None:
        _fail(path, line, f"the tests of {task!r} have no points", "Add ':points: N'.")
    if role not in GRADED and points is not None:
        _fail(
            path, line, f"points on a cell with the role {role}", "Only tests and hidden-tests carry points."
        )
    if points is not None and (
        isinstance(points, bool) or not isinstance(points, int | float) or points <= 0
    ):
        _fail(path, line, f"points {points!r}", "Points are a number above zero.")
    if role and cell.cell_type != "code":
        _fail(path, line, f"a text cell with the role {role}", "Roles belong to code cells.")
    _check_solution(cell, role, line, path)
    tags = options.pop("tags", [])
    kept: dict[str, object] = {"hpclab": {**options, "line": line}}
    cell.metadata = nbformat.from_dict(kept | ({"tags": tags} if tags else {}))  # type: ignore[no-untyped-call]


def _check_solution(cell: NotebookNode, role: str | None, line: int, path: Path) -> None:
    inside = False
    regions = 0
    for text in cell.source.splitlines():
        if BEGIN in text:
            if inside:
                _fail(path, line, f"'{BEGIN}' twice in this cell without '{END}'", f"Add '{END}'.")
            inside, regions = True, regions + 1
        elif END in text:
            if not inside:
                _fail(path, line, f"'{END}' without '{BEGIN}' in this cell", f"Add '{BEGIN}'.")
            inside = False
    if inside:
        _fail(path, line, f"'{BEGIN}' in this cell has no '{END}'", f"Add '{END}'.")
    if regions and role != "answer":
        _fail(path, line, "a solution in a cell that is no answer", "Give the cell ':role: answer'.")
    if role == "answer" and not regions:
        _fail(
            path,
            line,
            "this answer shows its solution to the learner",
            f"Set it between '{BEGIN}' and '{END}'.",
        )


def identity(cell: NotebookNode) -> str:
    """The cell's fixed id, and its nbgrader id, from its options; '' for ordinary cells."""
    mark = cell.metadata.hpclab
    if not mark.get("role"):
        return ""
    ending = "" if mark.role == "answer" else mark.role
    return "-".join(str(word) for word in (mark.exercise, ending, mark.get("part")) if word)


def _check_tasks(notebook: NotebookNode, about: About, path: Path) -> None:
    """Every task has answers and tests, every id is unique, and the points add up."""
    seen: dict[str, int] = {}
    roles: dict[str, dict[str, int]] = {}
    total: float = 0
    for cell in notebook.cells:
        mark = cell.metadata.hpclab
        name = identity(cell)
        if not name:
            continue
        if name in seen:
            _fail(
                path,
                mark.line,
                f"the id {name!r} is taken by line {seen[name]}",
                "Name the exercise otherwise, or tell its cells apart with ':part: NAME'.",
            )
        if len(name) > 64:
            _fail(path, mark.line, f"the id {name!r} is too long", "A cell id has at most 64 characters.")
        seen[name] = mark.line
        roles.setdefault(mark.exercise, {}).setdefault(mark.role, mark.line)
        total += mark.get("points", 0)
    for task, lines in roles.items():
        if "answer" in lines and not set(GRADED) & lines.keys():
            _fail(
                path,
                lines["answer"],
                f"the answer of {task!r} has no tests",
                "Add a cell with ':role: tests'.",
            )
        for role in GRADED:
            if role in lines and "answer" not in lines:
                _fail(
                    path, lines[role], f"the {role} of {task!r} have no answer cell", "Add ':role: answer'."
                )
    if total != about.points:
        what = f"the tests add up to {total:g} points, the head says {about.points}"
        _fail(path, 1, what, "Make them agree.")


def _set_ids(notebook: NotebookNode) -> None:
    """Give every cell an id that depends on nothing but the text, so that builds are stable."""
    taken: Counter[str] = Counter()
    for cell in notebook.cells:
        name = identity(cell)
        if not name:
            digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
            taken[digest] += 1
            name = f"c-{digest}" if taken[digest] == 1 else f"c-{digest}-{taken[digest]}"
        cell.id = name
