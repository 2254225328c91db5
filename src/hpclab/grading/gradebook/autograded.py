"""The notebook that the formgrader shows: the lab's text, the learner's work, what the tests said. Pure.

It is made anew, never copied: of the learner's notebook come the sources of code cells and outputs as text
and pictures. The formgrader shows HTML, scripts and links of a notebook as they are, in a page that may set marks.
As with nbgrader, the tests are there in full, hidden ones too: this is the instructor's view.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import nbformat

from hpclab.grading import sanitize
from hpclab.grading.gradebook import plan
from hpclab.grading.gradebook.cells import full
from hpclab.grading.model import Lab, Mark, Result

LONGEST = 200_000  # characters of one source


def notebook(result: Result, lab: Lab) -> str:
    """The notebook as JSON text."""
    shown = full(lab)
    told = {mark.test: mark for mark in result.marks}
    work = plan.cells(result.executed)
    places = _places(work, [cell.id for cell in shown.cells])
    merged: list[Any] = [_own(cell, number) for number, cell in places.get("", [])]
    for cell in shown.cells:
        mine = next((one for one in work if one.get("id") == cell.id), None)
        merged.append(_filled(cell, mine, told.get(cell.id)))
        merged += [_own(one, number) for number, one in places.get(cell.id, [])]
    shown.cells = merged
    shown.metadata.pop("widgets", None)
    text: str = nbformat.writes(shown)  # type: ignore[no-untyped-call]
    return text


def _places(
    work: list[Mapping[str, object]], known: list[str]
) -> dict[str, list[tuple[int, Mapping[str, object]]]]:
    """The learner's own cells, by the lab's cell that they stand behind ("" for those before all)."""
    places: dict[str, list[tuple[int, Mapping[str, object]]]] = {}
    last, number = "", 0
    for cell in work:
        if cell.get("id") in known:
            last = str(cell["id"])
        elif plan.joined(cell.get("source")):
            number += 1
            places.setdefault(last, []).append((number, cell))
    return places


def _filled(cell: Any, mine: Mapping[str, object] | None, mark: Mark | None) -> Any:
    """A cell of the lab with the learner's answer, and with what came out of it."""
    made = copy.deepcopy(cell)
    if made.cell_type != "code":
        return made
    graded = made.metadata.get("nbgrader", {})
    if graded.get("grade"):
        made.outputs = [_stream(_told(mark))] if mark else []
        return made
    if mine is not None:
        if graded.get("solution"):
            made.source = _source(mine)
        made.outputs = [_node(output) for output in sanitize.outputs(mine.get("outputs"))]
    return made


def _own(cell: Mapping[str, object], number: int) -> Any:
    """A cell that the learner added. Their Markdown is shown as it is written: it may hold HTML."""
    if cell.get("cell_type") == "code":
        outputs = sanitize.outputs(cell.get("outputs"))
        made = {"cell_type": "code", "source": _source(cell), "outputs": outputs, "execution_count": None}
    else:
        made = {"cell_type": "markdown", "source": fenced(_source(cell))}
    return _node({"id": f"own-{number}", "metadata": {}, **made})


def fenced(text: str) -> str:
    """``text`` in a block of code that it cannot leave."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _source(cell: Mapping[str, object]) -> str:
    return sanitize.text((plan.joined(cell.get("source")) or "")[:LONGEST])


def _told(mark: Mark) -> str:
    points = f"{mark.earned:g} of {mark.points:g} points"
    parts = [mark.said, f"Found: {mark.found}" if mark.found else ""]
    parts += [
        f"Expected: {mark.expected}" if mark.expected else "",
        f"Look: {mark.look}" if mark.look else "",
    ]
    told = [sanitize.text(part, characters=4000) for part in parts if part]
    return "\n".join([f"{'Hidden check: ' if mark.hidden else ''}{points}", *told])


def _stream(text: str) -> Any:
    return _node({"output_type": "stream", "name": "stdout", "text": text})


def _node(value: Mapping[str, object]) -> Any:
    return nbformat.from_dict(dict(value))  # type: ignore[no-untyped-call]
