"""Build the notebooks of a lab: learner's, grader's, reference, proof and book page. Pure.

A view is an ordered list of small steps. nbgrader's own preprocessors do the steps that grading depends on.
"""

from __future__ import annotations

import base64
import copy
import mimetypes
from collections.abc import Callable, Mapping
from typing import Literal

import nbformat
from nbformat import NotebookNode

from hpclab.exercises import links, plain_markdown
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import GRADED, Exercise

Step = Callable[[NotebookNode, Exercise], None]

# A comment in Python, shell and batch scripts, because an answer may be any of them.
STUB = "# YOUR WORK HERE"
HIDDEN_NOTE = "# More checks of this task run here when your work is marked."
HIDDEN_TAG = "hidden-tests"
CONTINUE_TAG = "raises-exception"  # papermill and nbclient continue after an error in a cell with this tag
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def student_view(exercise: Exercise) -> NotebookNode:
    """Return the learner's notebook: no answers, no hidden tests, valid nbgrader metadata."""
    notebook = grader_view(exercise)
    _run_nbgrader_steps(notebook)
    return notebook


def grader_view(exercise: Exercise) -> NotebookNode:
    """Return nbgrader's source notebook: answers and hidden tests between nbgrader's marks.

    ``nbgrader generate_assignment`` with the code stub ``STUB`` turns it into ``student_view``, cell for cell.
    """
    return _view(
        exercise, [*_TEXT_STEPS, _mark_for_nbgrader, _fold_checks, _wrap_hidden_tests, _remove_options]
    )


def reference_view(exercise: Exercise, answers: Mapping[str, str] | None = None) -> NotebookNode:
    """Return the author's notebook: answers and every test, runnable from top to bottom.

    A failed check does not stop the run, so every task gets a mark. ``answers`` replaces answer cells by id, to try
    wrong answers.
    """
    notebook = _view(exercise, [*_TEXT_STEPS, _mark_for_nbgrader, _continue_after_checks])
    for cell in notebook.cells:
        cell.source = (answers or {}).get(cell.id, cell.source)
    return notebook


def proof_view(
    exercise: Exercise, answers: Mapping[str, str] | None = None, *, untouched: bool = False
) -> NotebookNode:
    """Return the reference notebook with other answers, which must not get full marks.

    It has every test, hidden ones too. ``answers`` replaces answer cells by id; ``untouched`` puts the learner's stub
    into all other answer cells. No cell stops the run, whatever it raises.
    """
    stubs = _answer_stubs(exercise) if untouched else {}
    replaced = stubs | dict(answers or {})
    notebook = reference_view(exercise, replaced)
    if replaced:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                _tag(cell, CONTINUE_TAG)
    return notebook


def book_view(
    exercise: Exercise, executed: NotebookNode | None, answers: Literal["out", "folded"] = "out"
) -> NotebookNode:
    """Return the page of the book: the author's MyST text with the outputs of an executed run.

    Outputs come from ``executed``, a run of ``reference_view``, for the cells whose source is unchanged; None gives
    a page without outputs. ``answers="out"`` shows the learner's stub in place of each answer
    and omits hidden tests; ``"folded"`` keeps both, folded, for instructors. Tests are always folded. Of the
    metadata only tags remain.
    """
    ran = {cell.id: cell for cell in executed.cells if "id" in cell} if executed else {}
    stubs = _answer_stubs(exercise) if answers == "out" else {}
    page = _view(exercise, [_add_title, _link_notebooks, _label_checks])
    if answers == "out":
        page.cells = [cell for cell in page.cells if _role(cell) != "hidden-tests"]
    for cell in page.cells:
        role = _role(cell)
        cell.metadata = nbformat.from_dict(  # type: ignore[no-untyped-call]
            {"tags": list(cell.metadata.tags)} if "tags" in cell.metadata else {}
        )
        if cell.cell_type != "code":
            continue
        if cell.id in stubs:
            cell.source = stubs[cell.id]
        elif (before := ran.get(cell.id)) and before.source == cell.source:
            cell.outputs = copy.deepcopy(before.outputs)
            cell.execution_count = before.execution_count
        if role in GRADED:
            _tag(cell, "hide-cell")
        elif role == "answer" and answers == "folded":
            _tag(cell, "hide-input")
    return page


def _view(exercise: Exercise, steps: list[Step]) -> NotebookNode:
    notebook = copy.deepcopy(exercise.notebook)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})  # type: ignore[no-untyped-call]
    for step in steps:
        step(notebook, exercise)
    return notebook


def _role(cell: NotebookNode) -> str | None:
    role: str | None = cell.metadata.hpclab.get("role")
    return role


def _tag(cell: NotebookNode, tag: str) -> None:
    tags = cell.metadata.get("tags", [])
    if tag not in tags:
        cell.metadata["tags"] = [*tags, tag]


def _answer_stubs(exercise: Exercise) -> dict[str, str]:
    """The learner's stub of each answer cell, by id."""
    return {
        cell.id: cell.source
        for cell in student_view(exercise).cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }


def _add_title(notebook: NotebookNode, exercise: Exercise) -> None:
    """Add the first cell: title, difficulty, minutes, points, and the labs that it builds on."""
    about = exercise.about
    stars = "★" * about.difficulty + "☆" * (4 - about.difficulty)
    builds_on = ", ".join(about.builds_on) or "nothing: start here"
    text = (
        f"# {about.title}\n\n"
        f"{stars} (difficulty {about.difficulty} of 4) · about {about.minutes} minutes · "
        f"{about.points} points · builds on {builds_on}"
    )
    cell = {
        "cell_type": "markdown",
        "id": "title",
        "metadata": {"hpclab": {"line": 1, "first": 1}},
        "source": text,
    }
    notebook.cells.insert(0, nbformat.from_dict(cell))  # type: ignore[no-untyped-call]


def _convert_text(notebook: NotebookNode, exercise: Exercise) -> None:
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        try:
            cell.source = plain_markdown.to_plain_markdown(cell.source)
        except plain_markdown.UnsupportedMarkup as problem:
            line = cell.metadata.hpclab.line + problem.line
            remedy = f"Use Markdown, or one of: {', '.join(plain_markdown.OTHER_DIRECTIVES + plain_markdown.ADMONITIONS)}."
            raise Problem(exercise.path, line, problem.what, remedy).to_error() from None


def _link_notebooks(notebook: NotebookNode, exercise: Exercise) -> None:
    """Turn links between lab sources into links between notebooks."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = links.link_notebooks(cell.source)


def _attach_images(notebook: NotebookNode, exercise: Exercise) -> None:
    """Embed pictures as attachments, so that the notebook can be copied alone."""
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        attachments = {}
        for target, data in exercise.images.items():
            name = target.replace("../", "").replace("/", "-")
            changed = links.retarget(cell.source, target, f"attachment:{name}")
            if changed != cell.source:
                kind = mimetypes.guess_type(target)[0] or "application/octet-stream"
                attachments[name] = {kind: base64.b64encode(data).decode()}
                cell.source = changed
        if attachments:
            cell["attachments"] = nbformat.from_dict(attachments)  # type: ignore[no-untyped-call]


def _mark_for_nbgrader(notebook: NotebookNode, exercise: Exercise) -> None:
    """Convert the author's options into nbgrader's metadata, schema 3."""
    for cell in notebook.cells:
        role = _role(cell)
        if role == "answer":
            kind = {"grade": False, "solution": True, "locked": False}
        elif role in GRADED:
            kind = {"grade": True, "solution": False, "locked": True, "points": cell.metadata.hpclab.points}
        else:
            continue
        fixed = {"schema_version": 3, "grade_id": cell.id, "task": False, "cell_type": cell.cell_type}
        cell.metadata["nbgrader"] = nbformat.from_dict(fixed | kind)  # type: ignore[no-untyped-call]


def _label_checks(notebook: NotebookNode, exercise: Exercise) -> None:
    """Add a first line that says what the check is; a folded cell shows only that line."""
    for cell in notebook.cells:
        if _role(cell) == "tests" and not cell.source.startswith("%%"):
            mark = cell.metadata.hpclab
            points = f"{mark.points:g} point{'' if mark.points == 1 else 's'}"
            cell.source = f"# Check of the task '{mark.exercise}', {points}: run this cell.\n{cell.source}"


def _fold_checks(notebook: NotebookNode, exercise: Exercise) -> None:
    """Fold checks: JupyterLab shows the first line, and a click opens the cell."""
    for cell in notebook.cells:
        if _role(cell) in GRADED:
            cell.metadata["jupyter"] = nbformat.from_dict({"source_hidden": True})  # type: ignore[no-untyped-call]


def _wrap_hidden_tests(notebook: NotebookNode, exercise: Exercise) -> None:
    for cell in notebook.cells:
        if _role(cell) == "hidden-tests":
            cell.source = f"{HIDDEN_NOTE}\n### BEGIN HIDDEN TESTS\n{cell.source}\n### END HIDDEN TESTS"
            _tag(cell, HIDDEN_TAG)


def _remove_options(notebook: NotebookNode, exercise: Exercise) -> None:
    for cell in notebook.cells:
        cell.metadata.pop("hpclab", None)


def _run_nbgrader_steps(notebook: NotebookNode) -> None:
    """Run the preprocessors of ``nbgrader generate_assignment`` in its order, without its database.

    They remove answers, hidden tests and outputs, lock the tests and store the checksums that autograding compares.
    """
    from nbgrader.preprocessors import (  # type: ignore[import-untyped,unused-ignore]
        CheckCellMetadata,
        ClearHiddenTests,
        ClearOutput,
        ClearSolutions,
        ComputeChecksums,
        LockCells,
    )

    resources: dict[str, object] = {}
    for preprocessor in (
        LockCells(),
        ClearSolutions(code_stub={"python": STUB}),
        ClearOutput(),
        CheckCellMetadata(),
        ClearHiddenTests(),
        ComputeChecksums(),
        CheckCellMetadata(),
    ):
        _, resources = preprocessor.preprocess(notebook, resources)


def _continue_after_checks(notebook: NotebookNode, exercise: Exercise) -> None:
    for cell in notebook.cells:
        if _role(cell) in GRADED:
            _tag(cell, CONTINUE_TAG)


# The steps of every notebook for JupyterLab.
_TEXT_STEPS: tuple[Step, ...] = (_add_title, _convert_text, _link_notebooks, _attach_images, _label_checks)
