"""The notebook that the formgrader shows: the lab's text, the student's work, the results of the tests. Pure.

It is built from the lab; only the sources of code cells, and outputs as text and pictures, come from the
submission. The formgrader renders HTML, scripts and links unchanged, in a page that can set marks. As with
nbgrader, it contains all tests, including hidden ones: this is the instructor's view.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import nbformat

from hpclab.grading import sanitize
from hpclab.grading.gradebook import plan
from hpclab.grading.gradebook.cells import full_notebook
from hpclab.grading.model import Lab, Mark, Result

LONGEST = 200_000  # characters of one source


def build_notebook(result: Result, lab: Lab) -> str:
    """Return the notebook as JSON text."""
    shown = full_notebook(lab)
    marks = {mark.test: mark for mark in result.marks}
    submitted = plan.parse_cells(result.executed)
    added = _added_cells(submitted, [cell.id for cell in shown.cells])
    merged: list[Any] = [_build_added(cell, number) for number, cell in added.get("", [])]
    for cell in shown.cells:
        answer = next((other for other in submitted if other.get("id") == cell.id), None)
        merged.append(_fill_cell(cell, answer, marks.get(cell.id)))
        merged += [_build_added(other, number) for number, other in added.get(cell.id, [])]
    shown.cells = merged
    shown.metadata.pop("widgets", None)
    text: str = nbformat.writes(shown)  # type: ignore[no-untyped-call]
    return text


def _added_cells(
    submitted: list[Mapping[str, object]], known: list[str]
) -> dict[str, list[tuple[int, Mapping[str, object]]]]:
    """Return the cells that the student added, by the lab's cell before them ("" for those at the top)."""
    added: dict[str, list[tuple[int, Mapping[str, object]]]] = {}
    last, number = "", 0
    for cell in submitted:
        if cell.get("id") in known:
            last = str(cell["id"])
        elif plan.join_source(cell.get("source")):
            number += 1
            added.setdefault(last, []).append((number, cell))
    return added


def _fill_cell(cell: Any, submitted: Mapping[str, object] | None, mark: Mark | None) -> Any:
    """Return a cell of the lab with the student's answer and its output."""
    filled = copy.deepcopy(cell)
    if filled.cell_type != "code":
        return filled
    graded = filled.metadata.get("nbgrader", {})
    if graded.get("grade"):
        filled.outputs = [_stream(_describe_mark(mark))] if mark else []
        return filled
    if submitted is not None:
        if graded.get("solution"):
            filled.source = _source(submitted)
        filled.outputs = [_node(output) for output in sanitize.outputs(submitted.get("outputs"))]
    return filled


def _build_added(cell: Mapping[str, object], number: int) -> Any:
    """Return a cell that the student added. Markdown is shown as source, since it may contain HTML."""
    if cell.get("cell_type") == "code":
        outputs = sanitize.outputs(cell.get("outputs"))
        built = {"cell_type": "code", "source": _source(cell), "outputs": outputs, "execution_count": None}
    else:
        built = {"cell_type": "markdown", "source": code_block(_source(cell))}
    return _node({"id": f"own-{number}", "metadata": {}, **built})


def code_block(text: str) -> str:
    """Return ``text`` as a Markdown code block, fenced so that the text can't close it."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{text}\n{ticks}"


def _source(cell: Mapping[str, object]) -> str:
    return sanitize.text((plan.join_source(cell.get("source")) or "")[:LONGEST])


def _describe_mark(mark: Mark) -> str:
    points = f"{mark.earned:g} of {mark.points:g} points"
    parts = [mark.said, f"Found: {mark.found}" if mark.found else ""]
    parts += [
        f"Expected: {mark.expected}" if mark.expected else "",
        f"Look: {mark.look}" if mark.look else "",
    ]
    texts = [sanitize.text(part, characters=4000) for part in parts if part]
    return "\n".join([f"{'Hidden check: ' if mark.hidden else ''}{points}", *texts])


def _stream(text: str) -> Any:
    return _node({"output_type": "stream", "name": "stdout", "text": text})


def _node(value: Mapping[str, object]) -> Any:
    return nbformat.from_dict(dict(value))  # type: ignore[no-untyped-call]
