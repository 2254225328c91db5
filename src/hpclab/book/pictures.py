"""Words for the pictures that cells show, for those who cannot see them.

A lab prints what its plot shows, so the words are on the page; the picture's own text is their
beginning. Where a cell prints nothing, the text says which cell drew the picture.
"""

from __future__ import annotations

from nbformat import NotebookNode

from hpclab.ansi import strip_ansi

LONGEST = 250  # characters; screen readers read a picture's text in one breath


def with_words(notebook: NotebookNode) -> NotebookNode:
    """``notebook`` with a text for the pictures of every cell (changed in place, and returned)."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and _shows_picture(cell):
            mystnb = dict(cell.metadata.get("mystnb", {}))
            image = dict(mystnb.get("image", {}))
            image.setdefault("alt", words(cell))
            cell.metadata["mystnb"] = {**mystnb, "image": image}
    return notebook


def words(cell: NotebookNode) -> str:
    """The text of the pictures that ``cell`` shows."""
    printed = " ".join(
        output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout"
    )
    said = _in_one_line(strip_ansi(printed))
    if said:
        return f"Plot. {_shortened(said)}"
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"Plot drawn by the cell that begins: {_shortened(first.strip())}"


def _in_one_line(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return " ".join(line if line.endswith((".", ",", ":", ";")) else f"{line};" for line in lines).rstrip(";")


def _shows_picture(cell: NotebookNode) -> bool:
    return any(
        kind.startswith("image/") for output in cell.get("outputs", []) for kind in output.get("data", {})
    )


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rsplit(" ", 1)[0] + " …"
