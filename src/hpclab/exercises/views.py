"""An exercise → the notebook that somebody needs. Pure: no file is touched.

A view is an ordered list of small steps, as in nbgrader, whose own
transformations do the work that graders depend on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import nbformat
from nbformat import NotebookNode

from hpclab.errors import ExerciseError
from hpclab.exercises import plain
from hpclab.exercises.source import GRADED, Exercise

Step = Callable[[NotebookNode, Exercise], None]

# A comment in Python, in shell and in a batch script alike: an answer may be any of them.
STUB = "# YOUR WORK HERE"
HIDDEN = "# More checks of this task run here when your work is marked."
HIDDEN_TAG = "hidden-tests"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def student_view(exercise: Exercise) -> NotebookNode:
    """The learner's notebook: no answers, no hidden tests, valid nbgrader metadata."""
    return _view(
        exercise,
        [_title, _plain_text, _mark_for_nbgrader, _hide_tests, _without_answers, _without_author_options],
    )


def reference_view(exercise: Exercise, answers: Mapping[str, str] | None = None) -> NotebookNode:
    """The author's notebook: answers and every test, runnable from top to bottom.

    A failed check does not stop the run, so that every task is marked.
    ``answers`` replaces answer cells, by id: that is how wrong answers are tried.
    """
    notebook = _view(exercise, [_title, _plain_text, _mark_for_nbgrader, _go_on_after_checks])
    for cell in notebook.cells:
        cell.source = (answers or {}).get(cell.id, cell.source)
    return notebook


def _view(exercise: Exercise, steps: list[Step]) -> NotebookNode:
    notebook = copy.deepcopy(exercise.notebook)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})  # type: ignore[no-untyped-call]
    for step in steps:
        step(notebook, exercise)
    return notebook


def _title(notebook: NotebookNode, exercise: Exercise) -> None:
    """Add the first cell: title, stars, minutes, points, what it builds on."""
    about = exercise.about
    stars = "★" * about.difficulty + "☆" * (4 - about.difficulty)
    builds_on = ", ".join(about.builds_on) or "nothing: start here"
    text = (
        f"# {about.title}\n\n"
        f"{stars} (difficulty {about.difficulty} of 4) · about {about.minutes} minutes · "
        f"{about.points} points · builds on {builds_on}"
    )
    cell = {"cell_type": "markdown", "id": "title", "metadata": {"hpclab": {"line": 1}}, "source": text}
    notebook.cells.insert(0, nbformat.from_dict(cell))  # type: ignore[no-untyped-call]


def _plain_text(notebook: NotebookNode, exercise: Exercise) -> None:
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        try:
            cell.source = plain.plain(cell.source)
        except plain.NotPlain as wrong:
            raise ExerciseError(
                f"{exercise.path}, line {cell.metadata.hpclab.line + wrong.line}: {wrong.what}",
                f"Use Markdown, or one of: dropdown, image, figure, {', '.join(plain.ADMONITIONS)}.",
            ) from None


def _mark_for_nbgrader(notebook: NotebookNode, exercise: Exercise) -> None:
    """Options of the author → nbgrader's metadata, schema 3."""
    for cell in notebook.cells:
        role = cell.metadata.hpclab.get("role")
        if role == "answer":
            kind = {"grade": False, "solution": True, "locked": False}
        elif role in GRADED:
            kind = {"grade": True, "solution": False, "locked": True, "points": cell.metadata.hpclab.points}
        else:
            continue
        fixed = {"schema_version": 3, "grade_id": cell.id, "task": False, "cell_type": cell.cell_type}
        cell.metadata["nbgrader"] = nbformat.from_dict(fixed | kind)  # type: ignore[no-untyped-call]


def _hide_tests(notebook: NotebookNode, exercise: Exercise) -> None:
    for cell in notebook.cells:
        if cell.metadata.hpclab.get("role") == "hidden-tests":
            cell.source = HIDDEN
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), HIDDEN_TAG]


def _without_answers(notebook: NotebookNode, exercise: Exercise) -> None:
    """nbgrader's own release steps, in its own order, without its database.

    They also remove the regions ``BEGIN HIDDEN TESTS`` and the outputs, lock
    the tests and store the checksums that autograding compares.
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


def _without_author_options(notebook: NotebookNode, exercise: Exercise) -> None:
    for cell in notebook.cells:
        cell.metadata.pop("hpclab", None)


def _go_on_after_checks(notebook: NotebookNode, exercise: Exercise) -> None:
    for cell in notebook.cells:
        if cell.metadata.hpclab.get("role") in GRADED:
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "raises-exception"]
