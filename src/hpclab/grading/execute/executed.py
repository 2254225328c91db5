"""The learner's executed notebook as JSON, limited in size. Untrusted text, for feedback only.

Outputs are checked for form and length, but not decoded into objects: they go from the runner's line into
the notebook as the bytes they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from hpclab.grading.execute.assemble import Piece

MOST_BYTES = 1 << 20  # of the whole notebook
MOST_OUTPUTS = 128 << 10  # bytes of one cell's outputs


class _Output(msgspec.Struct):
    output_type: Literal["stream", "display_data", "execute_result", "error"]


def outputs(printed: memoryview, most_bytes: int = MOST_OUTPUTS) -> msgspec.Raw:
    """Return a cell's outputs for the notebook, with a short note in place of any that can't be kept."""
    if printed.nbytes > min(most_bytes, MOST_OUTPUTS):
        return _note(f"[{printed.nbytes >> 10} kB of output are left out]")
    raw = bytes(printed)
    try:
        msgspec.json.decode(raw, type=list[_Output])
        raw.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _note("[output of an unknown form is left out]")
    return msgspec.Raw(raw)


def _note(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode([{"output_type": "stream", "name": "stdout", "text": text}]))


def notebook(pieces: tuple[Piece, ...], printed: Mapping[str, msgspec.Raw]) -> str:
    """Return the notebook of ``pieces`` with what each ``printed``; outputs beyond the size limit are left out."""
    cells: list[dict[str, Any]] = []
    left = MOST_BYTES
    for piece in pieces:
        found = printed.get(piece.id, msgspec.Raw(b"[]"))
        if len(bytes(found)) > left:
            found = _note("[left out: the notebook became too large]")
        source = piece.source if len(piece.source) <= left else "# left out: the notebook became too large"
        left -= len(bytes(found)) + len(source)
        cell: dict[str, Any] = {
            "id": piece.id,
            "metadata": {"hpclab": {"kind": piece.kind}},
            "source": source,
        }
        if piece.kind == "text":
            cells.append(cell | {"cell_type": "markdown"})
        else:
            cells.append(cell | {"cell_type": "code", "execution_count": None, "outputs": found})
    whole = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return msgspec.json.encode(whole).decode()
