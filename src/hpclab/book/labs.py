"""A lab as the book needs it: its page, and the notebook that a learner takes along."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

from hpclab.book import lexer
from hpclab.book.pictures import with_words

DOWNLOADS = "downloads/"


@dataclass(frozen=True)
class Lab:
    """One exercise, handed in by the cli."""

    module: str  # the folder, e.g. "01-slurm-basics"
    name: str  # e.g. "ex01-submit-monitor"
    page: NotebookNode  # MyST text, with outputs of a run where there is one
    learner: bytes  # the learner's notebook, a file to download
    ran: str = ""  # the day of the run, "" where the page has no outputs

    @property
    def label(self) -> str:
        """What a person calls it: ``MODULE/NAME``."""
        return f"{self.module}/{self.name}"

    @property
    def file(self) -> str:
        """Its page in the source tree."""
        return f"{self.label}.ipynb"

    @property
    def download(self) -> str:
        """The learner's notebook in the source tree."""
        return f"{DOWNLOADS}{self.label}.ipynb"


def page(lab: Lab) -> bytes:
    """The lab's page as staged: below its title how to do it oneself, and words for every picture."""
    notebook = with_words(copy.deepcopy(lab.page))
    start: dict[str, object] = {
        "cell_type": "markdown",
        "id": "start-here",
        "metadata": {},
        "source": _start(lab),
    }
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": lexer.NAME}
    notebook.cells.insert(1, nbformat.from_dict(start))  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return f"{text}\n".encode()


def _start(lab: Lab) -> str:
    outputs = (
        f"The outputs are those of a run with the course's reference answers on {lab.ran}."
        if lab.ran
        else "This copy of the book was built without outputs."
    )
    return (
        ":::{admonition} Do it yourself\n:class: tip\n"
        f"`make lab` opens JupyterLab; this lab is `{lab.label}/{lab.name}.ipynb` there. Elsewhere, take "
        f"{{download}}`the notebook <../{lab.download}>` along. {outputs}\n:::"
    )


def same_run(reference: NotebookNode, executed: NotebookNode) -> bool:
    """Whether ``executed`` is a whole run of ``reference``: every code cell, by id, with the same source.

    papermill adds cells of its own; they do not count.
    """
    ran = {cell.get("id"): cell.source for cell in executed.cells}
    return all(ran.get(cell.id) == cell.source for cell in _code(reference.cells))


def _code(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    return [cell for cell in cells if cell.cell_type == "code"]
