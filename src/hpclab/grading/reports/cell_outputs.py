"""The output of the student's cells when they were graded: sanitized texts and pictures, bounded in size. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hpclab.grading import sanitize
from hpclab.grading.gradebook.plan import join_source, parse_cells, task_of
from hpclab.grading.model import Lab, Result

MOST_CELLS = 25
MOST_PICTURES = 8
MOST_PICTURE_BYTES = 300_000


class CellOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The output of one cell."""

    label: str
    text: str = ""
    pictures: tuple[bytes, ...] = ()
    failed: bool = False


def collect_outputs(lab: Lab, result: Result) -> list[CellOutput]:
    """Return the outputs of the student's own cells, and of the lab's cells that failed; failed cells first."""
    kinds = {cell.id: cell.kind for cell in lab.cells}
    collected: list[CellOutput] = []
    pictures_left = MOST_PICTURES
    own_cells = 0
    for cell in parse_cells(result.executed):
        cell_id = cell.get("id")
        if cell.get("cell_type") != "code" or not isinstance(cell_id, str):
            continue
        own_cells += cell_id not in kinds
        output = _read_output(cell, _label(lab, cell_id, own_cells, cell), pictures_left)
        if kinds.get(cell_id, "answer") != "answer" and not output.failed:
            continue
        if output.text or output.pictures:
            collected.append(output)
            pictures_left -= len(output.pictures)
    return sorted(collected, key=lambda output: not output.failed)[:MOST_CELLS]


def _read_output(cell: Mapping[str, object], label: str, most_pictures: int) -> CellOutput:
    written = cell.get("outputs")
    outputs = written if isinstance(written, list) else []
    texts = [text for output in outputs if (text := sanitize.output_text(output, lines=40, characters=4000))]
    pictures = [
        png for output in outputs if (png := sanitize.output_png(output)) and len(png) < MOST_PICTURE_BYTES
    ]
    return CellOutput(
        label=label,
        text=sanitize.text("\n".join(text.rstrip("\n") for text in texts), lines=60, characters=6000),
        pictures=tuple(pictures[:most_pictures]),
        failed=any(isinstance(output, dict) and output.get("output_type") == "error" for output in outputs),
    )


def _label(lab: Lab, cell_id: str, own_cells: int, cell: Mapping[str, object]) -> str:
    kind = next((known.kind for known in lab.cells if known.id == cell_id), "")
    if kind == "answer":
        task = task_of(cell_id, lab)
        part = cell_id.removeprefix(task).strip("-")
        return f"Your answer to {task}{f' ({part})' if part else ''}"
    if kind == "check":
        return f"The check {cell_id}"
    if kind:
        first_line = (join_source(cell.get("source")) or "").strip().split("\n")[0]
        return f"A cell of the lab: {sanitize.line(first_line, 60)}"
    return f"A cell that you added (number {own_cells})"
