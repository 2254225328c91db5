"""A lab → the assignment, notebook and cells of nbgrader's database, as ``nbgrader generate_assignment`` makes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import nbformat
from nbgrader import utils
from nbgrader.api import (
    Assignment,
    Comment,
    Grade,
    GradeCell,
    MissingEntry,
    Notebook,
    SolutionCell,
    SourceCell,
)

from hpclab.errors import GradingError
from hpclab.grading.model import Lab

BEGIN, END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One cell that nbgrader's database knows, with all tests in it."""

    id: str
    cell_type: str
    source: str
    checksum: str
    locked: bool
    grade: bool
    solution: bool
    points: float = 0.0


def full(lab: Lab) -> Any:
    """The lab's notebook with hidden tests where they were: what nbgrader has before it takes them out."""
    notebook = nbformat.reads(lab.notebook, as_version=4)  # type: ignore[no-untyped-call]
    hidden = {test.id: test.source for test in lab.tests if test.hidden}
    for cell in notebook.cells:
        source = hidden.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if source is not None:
            cell.source = f"{cell.source}\n{BEGIN}\n{source}\n{END}"
            cell.metadata.nbgrader["checksum"] = utils.compute_checksum(cell)
    return notebook


def rows(lab: Lab) -> list[Row]:
    """The cells of ``lab`` that nbgrader keeps. Raises GradingError where tests and notebook do not agree."""
    found = [
        Row(
            id=cell.metadata.nbgrader["grade_id"],
            cell_type=cell.cell_type,
            source=cell.source,
            checksum=cell.metadata.nbgrader.get("checksum") or utils.compute_checksum(cell),
            locked=utils.is_locked(cell),
            grade=utils.is_grade(cell),
            solution=utils.is_solution(cell),
            points=float(cell.metadata.nbgrader.get("points", 0.0)),
        )
        for cell in full(lab).cells
        if utils.is_grade(cell) or utils.is_solution(cell) or utils.is_locked(cell)
    ]
    shown = {row.id: row.points for row in found if row.grade}
    asked = {test.id: test.points for test in lab.tests}
    if shown != asked:
        odd = ", ".join(sorted({name for name, _ in shown.items() ^ asked.items()}))
        raise GradingError(
            f"{lab.name}: its tests and its notebook do not agree about the points of {odd}",
            "Build the lab again from its source: hpclab labs build",
        )
    return found


def register(book: Any, lab: Lab, due: datetime | None) -> Any:
    """Make the database know ``lab`` as it is now; nbgrader's notebook. ``due`` is UTC without a zone.

    Cells that are new get an empty mark in each submission, so that the formgrader shows that it is missing.
    Raises GradingError when a cell went on which somebody has set marks by hand.
    """
    try:
        assignment = book.find_assignment(lab.name)
    except MissingEntry:
        assignment = Assignment(name=lab.name, course_id=book.course_id)
        book.db.add(assignment)
    assignment.duedate = due
    notebook = next((one for one in assignment.notebooks if one.name == lab.name), None)
    if notebook is None:
        notebook = Notebook(name=lab.name, assignment=assignment)
        book.db.add(notebook)
    kernel = json.loads(lab.notebook)["metadata"].get("kernelspec", {})
    notebook.kernelspec = json.dumps(kernel)
    wanted = rows(lab)
    _graded(book, notebook, [row for row in wanted if row.grade])
    _answers(book, notebook, [row for row in wanted if row.solution])
    _sources(book, notebook, wanted)
    book.db.flush()
    return notebook


def _graded(book: Any, notebook: Any, wanted: list[Row]) -> None:
    there = {cell.name: cell for cell in notebook.grade_cells}
    _drop(book, notebook, [cell for name, cell in there.items() if name not in {row.id for row in wanted}])
    for row in wanted:
        cell = there.get(row.id)
        if cell is None:
            cell = GradeCell(name=row.id, notebook=notebook, max_score=row.points, cell_type=row.cell_type)
            book.db.add(cell)
            book.db.add_all(Grade(cell=cell, notebook=one) for one in notebook.submissions)
        cell.max_score, cell.cell_type = row.points, row.cell_type


def _answers(book: Any, notebook: Any, wanted: list[Row]) -> None:
    there = {cell.name: cell for cell in notebook.solution_cells}
    _drop(book, notebook, [cell for name, cell in there.items() if name not in {row.id for row in wanted}])
    for row in wanted:
        if row.id not in there:
            cell = SolutionCell(name=row.id, notebook=notebook)
            book.db.add(cell)
            book.db.add_all(Comment(cell=cell, notebook=one) for one in notebook.submissions)


def _sources(book: Any, notebook: Any, wanted: list[Row]) -> None:
    there = {cell.name: cell for cell in notebook.source_cells}
    for name, cell in there.items():
        if name not in {row.id for row in wanted}:
            book.db.delete(cell)
    for row in wanted:
        cell = there.get(row.id)
        if cell is None:
            cell = SourceCell(name=row.id, notebook=notebook, cell_type=row.cell_type)
            book.db.add(cell)
        cell.cell_type, cell.locked = row.cell_type, row.locked
        cell.source, cell.checksum = row.source, row.checksum


def _drop(book: Any, notebook: Any, gone: Iterable[Any]) -> None:
    """Forget cells that are no longer in the lab, unless a person's word would go with them."""
    for cell in list(gone):
        by_hand = [
            one.notebook.student.id
            for one in (*cell.grades, *cell.comments)
            if any(getattr(one, name, None) is not None for name in ("manual_score", "extra_credit"))
            or getattr(one, "manual_comment", None)
        ]
        if by_hand:
            raise GradingError(
                f"the lab {notebook.name} no longer has the cell {cell.name!r}, on which marks or comments were set"
                f" by hand for {', '.join(sorted(by_hand)[:5])}",
                "Put the cell back into the lab, or take these marks and comments out in the formgrader first.",
            )
        for one in (*cell.grades, *cell.comments):
            book.db.delete(one)
        book.db.delete(cell)
