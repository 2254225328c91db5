"""Alternative texts for the plots in a lab's outputs.

A lab prints a description of each plot, so the page has the full text; the alternative text is its beginning. If a
cell prints nothing, the text says which cell drew the plot.
"""

from __future__ import annotations

from nbformat import NotebookNode

from hpclab.ansi import strip_ansi

MAX_CHARACTERS = 250  # screen readers read an alternative text without a pause


def add_alt_text(notebook: NotebookNode) -> NotebookNode:
    """Add an alternative text to the pictures of every cell of ``notebook``, and return it."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and _shows_picture(cell):
            mystnb = dict(cell.metadata.get("mystnb", {}))
            image = dict(mystnb.get("image", {}))
            image.setdefault("alt", build_alt_text(cell))
            cell.metadata["mystnb"] = {**mystnb, "image": image}
    return notebook


def build_alt_text(cell: NotebookNode) -> str:
    """Return the alternative text for the pictures of ``cell``."""
    printed = " ".join(
        output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout"
    )
    description = _join_lines(strip_ansi(printed))
    if description:
        return f"Plot. {_shorten(description)}"
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"Plot drawn by the cell that begins: {_shorten(first.strip())}"


def _join_lines(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return " ".join(line if line.endswith((".", ",", ":", ";")) else f"{line};" for line in lines).rstrip(";")


def _shows_picture(cell: NotebookNode) -> bool:
    return any(
        kind.startswith("image/") for output in cell.get("outputs", []) for kind in output.get("data", {})
    )


def _shorten(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    return text[:MAX_CHARACTERS].rsplit(" ", 1)[0] + " …"
