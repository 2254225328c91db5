"""The learner's notebook and the lab's → the cells to run. Pure.

The lab's cells come in the lab's order. An answer is the learner's text, found by its grade id; a given
cell is the learner's too, if it was changed. Every check is the lab's. Cells that the learner added stay
behind the cell that they followed. So checks that were deleted, copied, moved, split or edited run as
released, and cells that can't be mistaken for the lab's run as they did for the learner.

    learner's file                      run as
    given                               given
    answer (edited)                     answer, the learner's text
      a cell of the learner's             own-1
    check (edited, twice)               check, the lab's text, once

Accidental changes are repaired and noted. Changes that normal work can't produce are named in ``tamper``: points,
grade ids, kinds or schema of a graded cell that differ from the released ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hpclab.grading.execute.matching import handed_out, placed, released_marks, tamper
from hpclab.grading.execute.select import choose
from hpclab.grading.model import Lab
from hpclab.grading.submissions.ipynb import BadInput as BadInput
from hpclab.grading.submissions.ipynb import SubmittedCell

MOST_NOTES = 30


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One cell to run, or a text cell around it. ``kind``: answer, check, given, own or text."""

    id: str
    kind: str
    source: str


class Assembled(msgspec.Struct, frozen=True, kw_only=True):
    """The cells to run for one submission. ``path`` is the selected notebook."""

    path: str
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...] = ()
    tamper: str = ""

    @property
    def cells(self) -> list[dict[str, str]]:
        """The code cells, as ``grading.execute.runner`` expects them."""
        return [
            {"id": one.id, "source": one.source, "kind": one.kind}
            for one in self.pieces
            if one.kind != "text"
        ]


def assemble(files: Mapping[str, bytes], lab: Lab) -> Assembled:
    """Assemble the cells to run for the submission ``files`` (paths below the lab's folder). Raises BadInput."""
    path, cells, notes = choose(files, lab)
    released = released_marks(lab)
    places, found_notes = placed(cells, lab, released)
    notes = [*notes, *found_notes]
    if len(notes) > MOST_NOTES:
        notes = [*notes[:MOST_NOTES], f"and {len(notes) - MOST_NOTES} more of this kind"]
    return Assembled(
        path=path,
        pieces=tuple(_in_order(cells, places, lab)),
        notes=tuple(notes),
        tamper=tamper(cells, released),
    )


def _in_order(cells: Sequence[SubmittedCell], places: Sequence[int | None], lab: Lab) -> list[Piece]:
    """Return the lab's cells in order, each followed by the learner's own cells that came after it."""
    behind: dict[int, list[SubmittedCell]] = {}
    text: dict[int, SubmittedCell] = {}
    last = -1  # before the first of the lab's cells
    for cell, number in zip(cells, places, strict=True):
        if number is None:
            behind.setdefault(last, []).append(cell)
        elif number >= 0:
            text[number] = cell
            last = number
    pieces: list[Piece] = []
    known = {cell["id"] for cell in handed_out(lab) if cell["cell_type"] == "markdown"}
    count = 0

    def add_own(number: int) -> None:
        nonlocal count
        for cell in behind.get(number, []):
            if cell.kind not in ("code", "markdown"):
                continue  # people make a cell raw to switch it off
            if cell.kind == "markdown" and cell.id in known:
                known.discard(cell.id)  # the lab's own text keeps its name
                pieces.append(Piece(id=cell.id, kind="text", source=cell.source))
                continue
            count += 1
            kind = "own" if cell.kind == "code" else "text"
            pieces.append(Piece(id=f"own-{count}", kind=kind, source=cell.source))

    add_own(-1)
    waiting: list[int] = []
    for number, own in enumerate(lab.cells):
        if number in text:
            for earlier in waiting:
                add_own(earlier)
            waiting = [number]
        mine = text.get(number)
        if own.kind == "check" or (own.kind == "given" and (mine is None or mine.kind != "code")):
            pieces.append(Piece(id=own.id, kind=own.kind, source=own.source))
        elif mine is not None:
            pieces.append(Piece(id=own.id, kind=own.kind, source=mine.source))
    for earlier in waiting:
        add_own(earlier)
    return pieces
