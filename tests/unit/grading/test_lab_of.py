"""An exercise → what grading has to know of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpclab import layout
from hpclab.app.grading.lab_model import lab_of
from hpclab.exercises import lint, source
from hpclab.exercises.lab_names import list_sources
from hpclab.grading.execute import limits
from tests.unit.grading import labs

LABS = list_sources(layout.clone_folder() / "notebooks")


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_every_lab_of_the_course_can_be_graded(path: Path) -> None:
    lab = lab_of(path)
    assert sum(test.points for test in lab.tests) == lab.points == 10
    about = source.load(path).about
    assert (lab.nodes, lab.containers, lab.seconds) == (about.nodes, about.containers, about.cost.seconds)
    ids = [cell.id for cell in lab.cells]
    assert len(set(ids)) == len(ids)
    answers = {cell.id for cell in lab.cells if cell.kind == "answer"}
    checks = {cell.id for cell in lab.cells if cell.kind == "check"}
    assert answers
    assert checks == {test.id for test in lab.tests}
    hidden = [test for test in lab.tests if test.hidden]
    assert hidden
    given = "\n".join("".join(cell["source"]) for cell in json.loads(lab.notebook)["cells"])
    assert all(test.source in given for test in lab.tests if not test.hidden)
    assert not [test.id for test in hidden if test.source in given]
    assert "templates/job-array.sbatch" in lab.files
    bounds = limits.limits(lab)
    needs = limits.needs(lab, bounds, 3)
    assert needs.seconds > bounds.seconds + bounds.job_wait_seconds + bounds.test_seconds
    assert needs.memory_mib > bounds.memory_mib


def test_its_digest_names_all_of_it(tmp_path: Path) -> None:
    first, again = labs.make(tmp_path / "a"), labs.make(tmp_path / "b")
    assert first.digest == again.digest
    changed = labs.make(tmp_path / "c", labs.TEXT.replace('== "2"', '== "3"'))
    assert json.loads(changed.notebook) == json.loads(first.notebook)  # a hidden test alone
    assert changed.digest != first.digest


@pytest.mark.parametrize(
    ("head", "test", "says"),
    [
        ("nodes: 0", 'evidence.job("a")', "this test uses evidence.job"),
        ("nodes: 0", "import subprocess; subprocess.run(['sacct'])", "this test uses sacct"),
        ("nodes: 2", 'evidence.function("f")(1)', "this test uses evidence.function"),
        ("nodes: 0\ncontainers: true", "pass", "the lab builds containers, but has 'nodes: 0'"),
    ],
)
def test_a_head_that_does_not_fit_its_tests_is_named(tmp_path: Path, head: str, test: str, says: str) -> None:
    text = labs.TEXT.replace("nodes: 0", head).replace("evidence.check(", f"{test}\nevidence.check(", 1)
    path = tmp_path / "90-tests/ex01-numbers.md"
    path.parent.mkdir()
    path.write_text(text)
    assert any(says in one.what for one in lint.find_problems(path, {}))


@pytest.mark.parametrize("head", ["nodes: 17", "nodes: -1", "nodes: many", "containers: 3"])
def test_a_head_that_cannot_be_is_refused(tmp_path: Path, head: str) -> None:
    exercise, problems = source.examine_text(labs.TEXT.replace("nodes: 0", head), tmp_path / "90-t/ex01-x.md")
    assert exercise is None
    assert problems


def test_a_lab_that_says_nothing_has_four_nodes(tmp_path: Path) -> None:
    about = source.parse(labs.TEXT.replace("nodes: 0\n", ""), tmp_path / "90-t/ex01-x.md").about
    assert (about.nodes, about.containers) == (4, False)
