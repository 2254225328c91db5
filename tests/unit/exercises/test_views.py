"""What a learner gets, and what an author runs."""

from pathlib import Path

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator

from hpclab.errors import ExerciseError
from hpclab.exercises import source, views

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


def test_the_head_becomes_the_title() -> None:
    first = views.student_view(EXERCISE).cells[0]
    assert first.source.startswith("# A lab\n\n★☆☆☆")
    assert "10 minutes · 3 points" in first.source


def test_an_unknown_directive_names_its_line() -> None:
    exercise = source.parse(GOOD.replace("Some *text*.", "Some\n\n```{tabs}\n```\n"), Path("a.md"))
    with pytest.raises(ExerciseError) as caught:
        views.student_view(exercise)
    assert "a.md, line 11: the directive {tabs}" in caught.value.problem
