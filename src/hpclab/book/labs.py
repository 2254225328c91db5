"""A lab in the book: its page, and the learner's notebook as a download."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

from hpclab.book import lexer
from hpclab.book.alt_text import add_alt_text

DOWNLOADS = "downloads/"


@dataclass(frozen=True)
class BookLab:
    """A lab for the book, prepared by the caller."""

    module: str  # the folder, e.g. "01-slurm-basics"
    name: str  # e.g. "ex01-submit-monitor"
    page: NotebookNode  # MyST text, with the outputs of a run if there is one
    learner: bytes  # the learner's notebook, to download
    ran: str = ""  # the date of the run, "" if the page has no outputs

    @property
    def label(self) -> str:
        """``MODULE/NAME``."""
        return f"{self.module}/{self.name}"

    @property
    def file(self) -> str:
        """The path of the page in the source tree."""
        return f"{self.label}.ipynb"

    @property
    def download(self) -> str:
        """The path of the learner's notebook in the source tree."""
        return f"{DOWNLOADS}{self.label}.ipynb"


def render_page(lab: BookLab) -> bytes:
    """Return the lab's page as a notebook file, with a note below the title on how to run it, and text alternatives."""
    notebook = add_alt_text(copy.deepcopy(lab.page))
    start: dict[str, object] = {
        "cell_type": "markdown",
        "id": "start-here",
        "metadata": {},
        "source": _start_text(lab),
    }
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": lexer.LEXER_NAME}
    notebook.cells.insert(1, nbformat.from_dict(start))  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return f"{text}\n".encode()


def _start_text(lab: BookLab) -> str:
    outputs = (
        f"The outputs are those of a run with the course's reference answers on {lab.ran}."
        if lab.ran
        else "This copy of the book was built without outputs."
    )
    return (
        ":::{admonition} Do it yourself\n:class: tip\n"
        f"`make lab` opens JupyterLab; this lab is `{lab.label}/{lab.name}.ipynb` there. To use it elsewhere, "
        f"{{download}}`download the notebook <../{lab.download}>`. {outputs}\n:::"
    )


def is_run_of(reference: NotebookNode, executed: NotebookNode) -> bool:
    """Return whether ``executed`` is a complete run of ``reference``: all code cells, by id, with the same source.

    Cells that papermill added are ignored.
    """
    ran = {cell.get("id"): cell.source for cell in executed.cells}
    return all(ran.get(cell.id) == cell.source for cell in _code_cells(reference.cells))


def _code_cells(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    return [cell for cell in cells if cell.cell_type == "code"]
