"""The bytes of an untrusted notebook → its cells, in bounded memory and time.

Only what grading needs is extracted: each cell's kind, id, source and nbgrader metadata. Outputs and all other
metadata are skipped without being decoded, so a notebook of 16 MiB never takes a multiple of that. Formats 3
(worksheets, ``input``) and 4 are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from hpclab.errors import HpclabError

MOST_BYTES = 16 << 20
MOST_CELLS = 5_000
MOST_SOURCE = 1 << 20  # bytes of one cell
MOST_PARTS = 400_000  # values in a notebook for the lenient reader, which decodes all of them
AGAIN = "Open it in JupyterLab, choose Edit, Clear Outputs of All Cells, save it, and hand it in again."


class BadInput(HpclabError):
    """A submission cannot be read as its lab: the problem, and what the student can do."""


class SubmittedCell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell as it is in the file. ``nbgrader`` is nbgrader's metadata, of any type."""

    kind: str  # "code", "markdown", "raw", or any other text
    source: str
    id: str = ""
    nbgrader: Any = None


class _Cell(msgspec.Struct):
    """A cell as the fast reader requires it; other notebooks go to the lenient reader."""

    cell_type: str
    source: msgspec.Raw
    metadata: msgspec.Raw = msgspec.Raw(b"")
    id: msgspec.Raw = msgspec.Raw(b"")


class _Notebook(msgspec.Struct):
    cells: list[_Cell]


class _Metadata(msgspec.Struct):
    nbgrader: msgspec.Raw = msgspec.Raw(b"")


def read(data: bytes, name: str) -> list[SubmittedCell]:
    """Return the cells of a notebook; ``name`` is the student's file name. Raises BadInput."""
    if len(data) > MOST_BYTES:
        raise BadInput(f"{name} has {len(data) >> 20} MB, the most is {MOST_BYTES >> 20}", AGAIN)
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise BadInput(
            f"{name} is empty", "Hand in the notebook that you worked in; look whether it was saved."
        )
    try:
        return _quick(data, name)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: a number of 5000 digits
        return _lenient(data, name)


def _quick(data: bytes, name: str) -> list[SubmittedCell]:
    cells = msgspec.json.decode(data, type=_Notebook).cells
    _count(len(cells), name)
    return [
        SubmittedCell(
            kind=cell.cell_type[:20],
            source=_source(_value(bytes(cell.source), MOST_SOURCE, name)),
            id=_text(_value(bytes(cell.id), 400)),
            nbgrader=_nbgrader(bytes(cell.metadata)),
        )
        for cell in cells
    ]


def _nbgrader(metadata: bytes) -> Any:
    """Return nbgrader's part of a cell's metadata; the rest is not decoded, however large."""
    try:
        return (
            _value(bytes(msgspec.json.decode(metadata, type=_Metadata).nbgrader), 10_000)
            if metadata
            else None
        )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None  # metadata that is not an object


def _value(raw: bytes, most: int, name: str = "") -> Any:
    """Decode a piece of JSON. If it is longer than ``most`` bytes, raise BadInput given a ``name``, else return None."""
    if len(raw) > most:
        if name:
            raise BadInput(
                f"a cell of {name} has {len(raw) >> 10} kB of text", "Keep data in files, not in cells."
            )
        return None
    return json.loads(raw.decode(errors="replace")) if raw else None


def _lenient(data: bytes, name: str) -> list[SubmittedCell]:
    """Read old formats, NaN and missing keys. Decodes everything, so the number of values is limited."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MOST_PARTS:
        raise BadInput(
            f"{name} is not a notebook as Jupyter writes it, and too large to look for more in it", AGAIN
        )
    try:
        whole = json.loads(data.decode(errors="replace"))
    except RecursionError:
        raise BadInput(f"{name} is nested too deeply to be a notebook", AGAIN) from None
    except ValueError as problem:
        raise BadInput(
            f"{name} is not JSON, which every notebook is: {str(problem)[:100]}",
            "Open it in JupyterLab: if that cannot show it either, it was cut off or is another kind of file."
            " Hand in one that opens.",
        ) from None
    cells = list(_cells(whole))
    if not cells:
        raise BadInput(
            f"{name} has no cells", "Hand in the notebook that you worked in; look whether it was saved."
        )
    _count(len(cells), name)
    return [_read(cell, name) for cell in cells if isinstance(cell, dict)]


def _cells(whole: Any) -> Iterator[Any]:
    """Yield the cells of format 4, or of format 3's worksheets."""
    if not isinstance(whole, dict):
        return
    sheets = whole.get("worksheets")
    for holder in [whole, *(sheets if isinstance(sheets, list) else [])]:
        if isinstance(holder, dict) and isinstance(holder.get("cells"), list):
            yield from holder["cells"]


def _read(cell: dict[Any, Any], name: str) -> SubmittedCell:
    source = _source(cell.get("source", cell.get("input")))
    if len(source) > MOST_SOURCE:
        raise BadInput(
            f"a cell of {name} has {len(source) >> 10} kB of text", "Keep data in files, not in cells."
        )
    metadata = cell.get("metadata")
    kind = cell.get("cell_type")
    return SubmittedCell(
        kind=_text(kind)[:20],
        source=source,
        id=_text(cell.get("id"))[:100],
        nbgrader=metadata.get("nbgrader") if isinstance(metadata, dict) else None,
    )


def _source(value: Any) -> str:
    """Return a source, which may be a list of lines, as one text. Lone surrogates, which can't be encoded, are removed."""
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    return _text(value)


def _text(value: Any) -> str:
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _count(cells: int, name: str) -> None:
    if cells > MOST_CELLS:
        raise BadInput(
            f"{name} has {cells} cells, the most is {MOST_CELLS}",
            "Remove the cells that are not part of your answer, and hand it in again.",
        )
