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


class CellRow(msgspec.Struct, frozen=True, kw_only=True):
    """One cell in nbgrader's database, with all its tests."""

    id: str
    cell_type: str
    source: str
    checksum: str
    locked: bool
    grade: bool
    solution: bool
    points: float = 0.0


def full_notebook(lab: Lab) -> Any:
    """Return the lab's notebook with hidden tests in place, as before nbgrader removes them."""
    notebook = nbformat.reads(lab.notebook, as_version=4)  # type: ignore[no-untyped-call]
    hidden = {test.id: test.source for test in lab.tests if test.hidden}
    for cell in notebook.cells:
        source = hidden.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if source is not None:
            cell.source = f"{cell.source}\n{BEGIN}\n{source}\n{END}"
            cell.metadata.nbgrader["checksum"] = utils.compute_checksum(cell)
    return notebook


def list_rows(lab: Lab) -> list[CellRow]:
    """Return the cells of ``lab`` that nbgrader keeps. Raises GradingError if tests and notebook disagree."""
    rows = [
        CellRow(
            id=cell.metadata.nbgrader["grade_id"],
            cell_type=cell.cell_type,
            source=cell.source,
            checksum=cell.metadata.nbgrader.get("checksum") or utils.compute_checksum(cell),
            locked=utils.is_locked(cell),
            grade=utils.is_grade(cell),
            solution=utils.is_solution(cell),
            points=float(cell.metadata.nbgrader.get("points", 0.0)),
        )
        for cell in full_notebook(lab).cells
        if utils.is_grade(cell) or utils.is_solution(cell) or utils.is_locked(cell)
    ]
    in_notebook = {row.id: row.points for row in rows if row.grade}
    in_tests = {test.id: test.points for test in lab.tests}
    if in_notebook != in_tests:
        differing = ", ".join(sorted({name for name, _ in in_notebook.items() ^ in_tests.items()}))
        raise GradingError(
            f"{lab.name}: its tests and its notebook disagree about the points of {differing}",
            "Build the lab again from its source: hpclab labs build",
        )
    return rows


def register(book: Any, lab: Lab, due: datetime | None) -> Any:
    """Add or update ``lab`` in the database and return nbgrader's notebook. ``due`` is UTC without a zone.

    New cells get an empty grade in each submission, so that the formgrader shows them as missing.
    Raises GradingError if a cell was removed for which marks were set by hand.
    """
    try:
        assignment = book.find_assignment(lab.name)
    except MissingEntry:
        assignment = Assignment(name=lab.name, course_id=book.course_id)
        book.db.add(assignment)
    assignment.duedate = due
    notebook = next((known for known in assignment.notebooks if known.name == lab.name), None)
    if notebook is None:
        notebook = Notebook(name=lab.name, assignment=assignment)
        book.db.add(notebook)
    kernel = json.loads(lab.notebook)["metadata"].get("kernelspec", {})
    notebook.kernelspec = json.dumps(kernel)
    wanted = list_rows(lab)
    _update_grade_cells(book, notebook, [row for row in wanted if row.grade])
    _update_solution_cells(book, notebook, [row for row in wanted if row.solution])
    _update_source_cells(book, notebook, wanted)
    book.db.flush()
    return notebook


def _update_grade_cells(book: Any, notebook: Any, wanted: list[CellRow]) -> None:
    known = {cell.name: cell for cell in notebook.grade_cells}
    _remove_cells(
        book, notebook, [cell for name, cell in known.items() if name not in {row.id for row in wanted}]
    )
    for row in wanted:
        cell = known.get(row.id)
        if cell is None:
            cell = GradeCell(name=row.id, notebook=notebook, max_score=row.points, cell_type=row.cell_type)
            book.db.add(cell)
            book.db.add_all(Grade(cell=cell, notebook=submission) for submission in notebook.submissions)
        cell.max_score, cell.cell_type = row.points, row.cell_type


def _update_solution_cells(book: Any, notebook: Any, wanted: list[CellRow]) -> None:
    known = {cell.name: cell for cell in notebook.solution_cells}
    _remove_cells(
        book, notebook, [cell for name, cell in known.items() if name not in {row.id for row in wanted}]
    )
    for row in wanted:
        if row.id not in known:
            cell = SolutionCell(name=row.id, notebook=notebook)
            book.db.add(cell)
            book.db.add_all(Comment(cell=cell, notebook=submission) for submission in notebook.submissions)


def _update_source_cells(book: Any, notebook: Any, wanted: list[CellRow]) -> None:
    known = {cell.name: cell for cell in notebook.source_cells}
    for name, cell in known.items():
        if name not in {row.id for row in wanted}:
            book.db.delete(cell)
    for row in wanted:
        cell = known.get(row.id)
        if cell is None:
            cell = SourceCell(name=row.id, notebook=notebook, cell_type=row.cell_type)
            book.db.add(cell)
        cell.cell_type, cell.locked = row.cell_type, row.locked
        cell.source, cell.checksum = row.source, row.checksum


def _remove_cells(book: Any, notebook: Any, removed: Iterable[Any]) -> None:
    """Remove cells that are no longer in the lab. Raises GradingError if marks were set by hand for one."""
    for cell in list(removed):
        by_hand = [
            entry.notebook.student.id
            for entry in (*cell.grades, *cell.comments)
            if any(getattr(entry, name, None) is not None for name in ("manual_score", "extra_credit"))
            or getattr(entry, "manual_comment", None)
        ]
        if by_hand:
            raise GradingError(
                f"the lab {notebook.name} no longer has the cell {cell.name!r}, for which marks or comments were set"
                f" by hand: {', '.join(sorted(by_hand)[:5])}",
                "Put the cell back into the lab, or remove these marks and comments in the formgrader first.",
            )
        for entry in (*cell.grades, *cell.comments):
            book.db.delete(entry)
        book.db.delete(cell)
