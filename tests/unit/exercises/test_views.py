"""The learner's, grader's, reference and book views of a lab."""

import os
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator

from hpclab import shell
from hpclab.errors import ExerciseError
from hpclab.exercises import build, source, views
from hpclab.exercises.lab_names import list_sources

from .test_source import GOOD, PATH

EXERCISE = source.parse(GOOD, PATH)


def test_the_learner_sees_no_answer_and_no_hidden_test() -> None:
    text = nbformat.writes(views.student_view(EXERCISE))
    assert "total = 1 + 1" not in text
    assert "total + 1 == 3" not in text
    assert "SOLUTION" not in text
    assert "hpclab" not in text
    assert "assert total == 2" in text


def test_the_learner_sees_plain_markdown() -> None:
    text = nbformat.writes(views.student_view(EXERCISE))
    assert "<summary>Hint 1</summary>" in text
    assert ":::" not in text


def test_nbgrader_accepts_the_student_view() -> None:
    notebook = views.student_view(EXERCISE)
    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)
    graded = {cell.id: cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata}
    assert {name: mark.grade_id for name, mark in graded.items()} == {name: name for name in graded}
    assert sum(mark.get("points", 0) for mark in graded.values()) == 3
    assert all(mark.checksum for mark in graded.values())
    assert graded["add"].solution and not graded["add"].locked
    assert graded["add-tests"].grade and graded["add-tests"].locked


def test_tests_cannot_be_edited_by_accident_and_answers_can() -> None:
    cells = {cell.id: cell for cell in views.student_view(EXERCISE).cells}
    assert cells["add-tests"].metadata.editable is False
    assert cells["add"].metadata.get("editable", True)


def test_a_view_is_pure_and_stable() -> None:
    before = nbformat.writes(EXERCISE.notebook)
    assert nbformat.writes(views.student_view(EXERCISE)) == nbformat.writes(views.student_view(EXERCISE))
    views.reference_view(EXERCISE)
    assert nbformat.writes(EXERCISE.notebook) == before


def test_the_reference_view_has_everything() -> None:
    text = nbformat.writes(views.reference_view(EXERCISE))
    assert "total = 1 + 1" in text
    assert "total + 1 == 3" in text


def outputs_of(notebook: nbformat.NotebookNode) -> dict[str, str]:
    return {
        cell.id: "".join(output.text for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.outputs
    }


def executed(exercise: source.Exercise) -> nbformat.NotebookNode:
    """The reference notebook as papermill leaves it: every code cell printed its own id."""
    notebook = views.reference_view(exercise)
    notebook.metadata["papermill"] = {"duration": 1.5}
    for number, cell in enumerate(notebook.cells):
        cell.metadata["papermill"] = {"status": "completed"}
        if cell.cell_type == "code":
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=cell.id)]
    return notebook


def test_hidden_tests_are_between_nbgraders_marks() -> None:
    cells = {cell.id: cell for cell in views.grader_view(EXERCISE).cells}
    assert cells["add-hidden-tests"].source == (
        f"{views.HIDDEN_NOTE}\n### BEGIN HIDDEN TESTS\nassert total + 1 == 3\n### END HIDDEN TESTS"
    )
    assert "### BEGIN SOLUTION\ntotal = 1 + 1" in cells["add"].source
    MetadataValidator().validate_nb(views.grader_view(EXERCISE))
    assert nbformat.writes(views.grader_view(EXERCISE)) == nbformat.writes(views.grader_view(EXERCISE))


@pytest.mark.slow
def test_nbgrader_builds_the_same_student_notebook(root: Path, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    shutil.copy(root / "autograder/nbgrader_config.py", tmp_path)
    # Each is read once: an author may be writing one at this moment.
    exercises = [EXERCISE, *(source.load(path) for path in list_sources(root / "notebooks"))]
    names = [f"{exercise.module}-{exercise.name}.ipynb" for exercise in exercises]
    for exercise, name in zip(exercises, names, strict=True):
        build.write_notebook(views.grader_view(exercise), tmp_path / "source/lab" / name)
    # nbgrader calls alembic by its name.
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    shell.run(
        [programs / "nbgrader", "generate_assignment", "lab"], cwd=tmp_path, env=environment, timeout=240
    )
    for exercise, name in zip(exercises, names, strict=True):
        made = (tmp_path / "release/lab" / name).read_bytes()
        assert made == build.serialize(views.student_view(exercise)), name


def test_untouched_notebook_has_stubs_and_every_test() -> None:
    notebook = views.proof_view(EXERCISE, untouched=True)
    cells = {cell.id: cell for cell in notebook.cells}
    student = {cell.id: cell for cell in views.student_view(EXERCISE).cells}
    assert cells["add"].source == student["add"].source == views.STUB
    assert cells["add-hidden-tests"].source == "assert total + 1 == 3"
    assert views.HIDDEN_TAG not in cells["add-hidden-tests"].metadata.tags
    assert all(
        "raises-exception" in cell.metadata.tags for cell in notebook.cells if cell.cell_type == "code"
    )


def test_only_a_reference_run_stops_at_an_error() -> None:
    replaced = views.proof_view(EXERCISE, {"add": "boom"})
    assert {cell.id: cell.source for cell in replaced.cells}["add"] == "boom"
    assert all(
        views.CONTINUE_TAG in cell.metadata.tags for cell in replaced.cells if cell.cell_type == "code"
    )
    assert nbformat.writes(views.proof_view(EXERCISE)) == nbformat.writes(views.reference_view(EXERCISE))
    both = views.proof_view(EXERCISE, {"add": "boom"}, untouched=True)
    assert {cell.id: cell.source for cell in both.cells}["add"] == "boom"


def test_the_book_shows_outputs_and_no_answer() -> None:
    page = views.book_view(EXERCISE, executed(EXERCISE))
    nbformat.validate(page)
    text = nbformat.writes(page)
    assert outputs_of(page) == {"add-tests": "add-tests"}
    assert {cell.id: cell.source for cell in page.cells}["add"] == views.STUB
    for absent in ("total = 1 + 1", "total + 1 == 3", "SOLUTION", "nbgrader", "hpclab", "papermill"):
        assert absent not in text
    assert ":::{dropdown} Hint 1" in text
    assert page.cells[0].source.startswith("# A lab\n\n★☆☆☆")
    assert {cell.id: cell.metadata for cell in page.cells}["add-tests"] == {"tags": ["hide-cell"]}


def test_the_instructors_book_folds_answers_and_hidden_tests() -> None:
    page = views.book_view(EXERCISE, executed(EXERCISE), "folded")
    cells = {cell.id: cell for cell in page.cells}
    assert "total = 1 + 1" in cells["add"].source and cells["add"].metadata.tags == ["hide-input"]
    assert cells["add-hidden-tests"].metadata.tags == ["hide-cell"]
    assert outputs_of(page) == {name: name for name in ("add", "add-tests", "add-hidden-tests")}


def test_book_skips_outputs_of_changed_cells() -> None:
    other = source.parse(GOOD.replace("assert total == 2", "assert total == 2.0"), PATH)
    assert outputs_of(views.book_view(EXERCISE, executed(other))) == {}
    assert outputs_of(views.book_view(EXERCISE, None)) == {}


def test_pictures_are_embedded_and_links_converted(tmp_path: Path) -> None:
    path = tmp_path / "ex01-lab.md"
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/three-nodes.png").write_bytes(b"png")
    text = "```{figure} figures/three-nodes.png\nA *b*.\n```\n\nSee [x](../02-y/ex03-z.md) and [t](../../templates/train.py)."
    path.write_text(GOOD.replace("Some *text*.", text))
    exercise = source.load(path)
    cell = views.student_view(exercise).cells[1]
    assert "](attachment:figures-three-nodes.png)" in cell.source
    assert cell.attachments == {"figures-three-nodes.png": {"image/png": "cG5n"}}
    assert (
        "[x](../../02-y/ex03-z/ex03-z.ipynb)" in cell.source
        and "[t](../../templates/train.py)" in cell.source
    )
    nbformat.validate(views.student_view(exercise))
    page = views.book_view(exercise, None).cells[1]
    assert "{figure} figures/three-nodes.png" in page.source and "ex03-z.ipynb" in page.source


def test_the_head_becomes_the_title() -> None:
    first = views.student_view(EXERCISE).cells[0]
    assert first.source.startswith("# A lab\n\n★☆☆☆")
    assert "10 minutes · 3 points" in first.source


def test_an_unknown_directive_names_its_line() -> None:
    exercise = source.parse(GOOD.replace("Some *text*.", "Some\n\n```{tabs}\n```\n"), Path("a.md"))
    with pytest.raises(ExerciseError) as caught:
        views.student_view(exercise)
    assert "a.md, line 11: the directive {tabs}" in caught.value.problem


def test_checks_are_folded_for_learners_and_nothing_else_is() -> None:
    cells = views.student_view(source.parse(GOOD, PATH)).cells
    folded = [cell.id for cell in cells if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert folded and len(folded) < len(cells)
    assert folded == [cell.id for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")]


def test_first_line_of_a_check_describes_it() -> None:
    for view in (
        views.student_view,
        views.grader_view,
        views.reference_view,
        lambda it: views.book_view(it, None, "folded"),
    ):
        checks = [
            cell for cell in view(source.parse(GOOD, PATH)).cells if cell.get("id", "").endswith("-tests")
        ]
        visible = [cell for cell in checks if not cell.id.endswith("-hidden-tests")]
        assert visible
        assert all(cell.source.startswith("# Check of the task '") for cell in visible), view
