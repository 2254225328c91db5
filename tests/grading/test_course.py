"""Every lab of the course through the grader: reference, untouched and wrong answers earn what `hpclab labs prove` expects.

There the tests run inside the notebook, cell by cell; here at its end, as somebody else, on the evidence alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab import layout
from hpclab.app.grading.lab_model import lab_of
from hpclab.exercises import source, wrong_answers
from hpclab.exercises.lab_names import list_sources
from tests.grading import classroom
from tests.grading.classroom import Classroom

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

LABS = list_sources(layout.clone_folder() / "notebooks")


def answers(path: Path) -> dict[str, str]:
    """The author's, by cell."""
    cells = source.load(path).notebook.cells
    return {
        cell.id: "\n".join(line for line in cell.source.splitlines() if "### " not in line)
        for cell in cells
        if cell.metadata.hpclab.get("role") == "answer"
    }


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_marks_are_what_they_should_be(place: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classroom, "GRADING", 7000)
    room = Classroom(place, lab_of(path), path)
    exercise = source.load(path)
    right = answers(path)
    full = wrong_answers.expected_marks(exercise, [])
    given = {"reference": right, "untouched": {}}
    expected = {"reference": full, "untouched": dict.fromkeys(full, 0.0)}
    for number, together in enumerate(wrong_answers.plan_rounds(wrong_answers.load_all(exercise)), 1):
        tried = {name: text for one in together for name, text in one.answers.items()}
        given[f"round-{number}"] = right | tried
        expected[f"round-{number}"] = wrong_answers.expected_marks(exercise, together)
    room.enrol(list(given))
    for student, mine in given.items():
        room.hand_in(student, classroom.files(room.lab, mine))
    room.grade()
    got = {student: {mark.test: mark.earned for mark in one.marks} for student, one in room.results().items()}
    assert got == expected, room.logs()
