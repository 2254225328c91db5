"""Match the learner's cells to the lab's, and find metadata that normal work can't produce. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpclab.grading.model import Lab
from hpclab.grading.submissions.ipynb import SubmittedCell

# nbgrader's metadata of a graded cell that never changes by accident. Its lock, and texts that its programs
# add, may differ for harmless reasons.
FIXED = ("grade", "solution", "points", "schema_version", "cell_type", "task")


def released_marks(lab: Lab) -> dict[str, Any]:
    """Return nbgrader's metadata of each graded cell, by id, as released."""
    cells = handed_out(lab)
    return {cell["id"]: cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]}


def handed_out(lab: Lab) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(lab.notebook)["cells"]
    return cells


def identity(cell: SubmittedCell, ids: set[str] | Mapping[str, Any]) -> str:
    """Return the lab's id of a graded cell: from nbgrader's metadata, else the cell's own id, which is the same; or ''."""
    said = cell.nbgrader.get("grade_id") if isinstance(cell.nbgrader, dict) else None
    if isinstance(said, str) and said in ids:
        return said
    return cell.id if said is None and cell.id in ids else ""


def tamper(cells: Sequence[SubmittedCell], released: Mapping[str, Any]) -> str:
    """Return a description of metadata in these cells that normal work can't produce, or ''."""
    for cell in cells:
        if not isinstance(cell.nbgrader, dict):
            continue  # lost with the cell's metadata: an accident
        said = cell.nbgrader.get("grade_id")
        if cell.id in released and said is not None and said != cell.id:
            return f"the grade id of the cell {cell.id!r} was changed to {str(said)[:60]!r}"
        if not isinstance(said, str) or said not in released:
            continue  # pasted from another lab
        for name in FIXED:
            if name in cell.nbgrader and not _same(cell.nbgrader[name], released[said].get(name)):
                was = released[said].get(name)
                return f"{name!r} of the graded cell {said!r} was changed from {was!r} to {str(cell.nbgrader[name])[:60]!r}"
    return ""


def _same(said: Any, was: Any) -> bool:
    """Return whether two JSON values are equal; true is not 1, but 2.0 is 2, since JSON has one number type."""
    return said == was and isinstance(said, bool) == isinstance(was, bool)


def placed(
    cells: Sequence[SubmittedCell], lab: Lab, released: Mapping[str, Any]
) -> tuple[list[int | None], list[str]]:
    """Return the index of the lab's cell for each of the learner's (None: the learner's own), and notes.

    -1 marks a cell that is left out: a repeated check, or one pasted from another lab.
    """
    order = {cell.id: number for number, cell in enumerate(lab.cells)}
    texts = texts_of(lab)
    places: list[int | None] = []
    taken: dict[int, SubmittedCell] = {}
    notes: list[str] = []
    for cell in cells:
        name = identity(cell, released) or (cell.id if cell.id in order else "")
        if not name and cell.kind == "code":  # where ids were lost, match by text
            same = texts.get(cell.source.strip(), [])
            name = next((one for one in same if order[one] not in taken), "")
        number = order.get(name)
        if number is None:
            places.append(-1 if _foreign_check(cell) else None)
            if _foreign_check(cell):
                notes.append("a check that is not of this lab was left out")
            continue
        own = lab.cells[number]
        if number in taken:
            if own.kind == "check":
                notes.append(f"the check {name!r} stands there more than once; it ran once")
            elif own.kind == "answer":
                notes.append(
                    f"the answer {name!r} stands in more than one cell (a split or a copy); all of them ran"
                )
            untouched = cell.source.strip() == own.source.strip()
            places.append(-1 if own.kind == "check" or untouched else None)
            continue
        taken[number] = cell
        places.append(number)
        notes += _remarks(cell, own.kind, name, own.source)
    for number, own in enumerate(lab.cells):
        if number not in taken:
            notes.append(
                f"the answer cell {own.id!r} is missing"
                if own.kind == "answer"
                else f"the {'check' if own.kind == 'check' else 'given cell'} {own.id!r} was missing and was put back"
            )
    numbers = [number for number in places if number is not None and number >= 0]
    if numbers != sorted(numbers):
        notes.append("cells of the lab were moved; they ran in the lab's order")
    return places, notes


def texts_of(lab: Lab) -> dict[str, list[str]]:
    """Map each text to the lab's cells with that text, leaving out answers, which learners change."""
    found: dict[str, list[str]] = {}
    for cell in lab.cells:
        if cell.kind != "answer" and cell.source.strip():
            found.setdefault(cell.source.strip(), []).append(cell.id)
    return found


def _remarks(cell: SubmittedCell, kind: str, name: str, source: str) -> list[str]:
    if kind == "check" and (cell.source.strip() != source.strip() or cell.kind != "code"):
        return [f"the check {name!r} was changed; the lab's own ran"]
    if kind == "answer" and cell.kind != "code":
        return [f"the answer {name!r} had become a cell of text; it ran as code"]
    if kind == "given" and cell.kind != "code":
        return [f"the given cell {name!r} had become a cell of text; the lab's own ran"]
    return []


def _foreign_check(cell: SubmittedCell) -> bool:
    return isinstance(cell.nbgrader, dict) and cell.nbgrader.get("grade") is True
