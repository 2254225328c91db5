"""A lab's page, and the alt text of its plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from hpclab.book import alt_text, labs
from hpclab.book.labs import BookLab
from hpclab.exercises import source, views

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = {"output_type": "display_data", "data": {"image/png": PNG}, "metadata": {}}


def printed(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def cell(code: str, *outputs: dict[str, Any], name: str = "c-1") -> Any:
    made = {"cell_type": "code", "id": name, "metadata": {}, "source": code, "execution_count": 1}
    return nbformat.from_dict({**made, "outputs": list(outputs)})  # type: ignore[no-untyped-call]


def page_of(*cells: Any, ran: str = "2026-11-25") -> dict[str, Any]:
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# A lab"}
    made = nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [title, *cells]})  # type: ignore[no-untyped-call]
    whole: dict[str, Any] = json.loads(labs.render_page(BookLab("01-basics", "ex01-a", made, b"", ran)))
    return whole


def test_note_below_the_title_says_how_to_run_the_lab() -> None:
    start = page_of()["cells"][1]["source"]
    text = "".join(start)
    assert "`01-basics/ex01-a/ex01-a.ipynb`" in text
    assert "<../downloads/01-basics/ex01-a.ipynb>" in text
    assert "2026-11-25" in text
    assert "without outputs" in "".join(page_of(ran="")["cells"][1]["source"])


def test_alt_text_is_the_cells_output() -> None:
    shown = cell(
        "plot()", PICTURE, printed("\x1b[1mThree jobs\x1b[0m,\n  one failed.\n"), printed("warning", "stderr")
    )
    page = page_of(shown)
    assert page["cells"][2]["metadata"]["mystnb"]["image"]["alt"] == "Plot. Three jobs, one failed."


def test_alt_text_of_a_silent_cell_names_the_cell() -> None:
    assert (
        alt_text.build_alt_text(cell("\nplot(jobs)\nmore()", PICTURE))
        == "Plot drawn by the cell that begins: plot(jobs)"
    )


def test_long_alt_text_is_cut_between_words() -> None:
    words = alt_text.build_alt_text(cell("x", PICTURE, printed("word " * 500)))
    assert words.endswith("word …")
    assert len(words) < alt_text.MAX_CHARACTERS + 20


def test_a_cell_without_a_picture_is_left_alone() -> None:
    assert page_of(cell("print(1)", printed("1")))["cells"][2]["metadata"] == {}


def test_authors_alt_text_is_kept() -> None:
    shown = cell("plot()", PICTURE, printed("printed"))
    shown.metadata["mystnb"] = {"image": {"alt": "mine"}}
    assert page_of(shown)["cells"][2]["metadata"]["mystnb"]["image"]["alt"] == "mine"


@pytest.mark.parametrize("answers", ["out", "folded"])
def test_a_page_has_answers_only_if_asked_and_no_metadata_of_ours(root: Path, answers: Any) -> None:
    exercise = source.load(root / "notebooks/01-slurm-basics/ex01-submit-monitor.md")
    made = BookLab("01", "ex01", views.book_view(exercise, None, answers), b"")
    page = json.loads(labs.render_page(made))
    assert {key for one in page["cells"] for key in one["metadata"]} <= {"tags", "mystnb"}
    assert set(page["metadata"]) == {"kernelspec", "language_info"}
    shown = {one.get("id"): "".join(one["source"]) for one in page["cells"]}
    roles = {one.id: one.metadata.hpclab.get("role") for one in exercise.notebook.cells}
    answered = [one for one in exercise.notebook.cells if roles[one.id] == "answer"]
    assert len(answered) >= 3 and "hidden-tests" in roles.values()
    for one in answered:
        assert (shown[one.id] == one.source) is (answers == "folded")
    for name, role in roles.items():
        assert (name in shown) is (role != "hidden-tests" or answers == "folded")
    assert ("### BEGIN SOLUTION" in labs.render_page(made).decode()) is (
        answers == "folded"
    )  # the author's own text


def test_only_a_complete_run_of_this_source_counts() -> None:
    def book(*cells: Any) -> Any:
        return nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)})  # type: ignore[no-untyped-call]

    reference = book(cell("a", name="one"), cell("b", name="two"))
    injected = cell("parameters", name="papermill")
    assert labs.is_run_of(reference, book(injected, cell("a", name="one"), cell("b", name="two")))
    assert not labs.is_run_of(reference, book(cell("a", name="one")))
    assert not labs.is_run_of(reference, book(cell("a", name="one"), cell("older", name="two")))
