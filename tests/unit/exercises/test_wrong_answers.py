"""Wrong answers must refer to existing cells."""

from pathlib import Path

import pytest

from hpclab.errors import ExerciseError
from hpclab.exercises import source, views, wrong_answers

from .test_source import GOOD

WRONG = """\
---
why: off by one
marks: {add-tests: 0}
---

```{code-cell} python
:answer: add

total = 3
```
"""


@pytest.fixture
def exercise(tmp_path: Path) -> source.Exercise:
    path = tmp_path / "ex01-lab.md"
    path.write_text(GOOD)
    (tmp_path / "ex01-lab/wrong").mkdir(parents=True)
    (tmp_path / "ex01-lab/wrong/off.md").write_text(WRONG)
    return source.load(path)


def test_a_wrong_answer_replaces_the_answer(exercise: source.Exercise) -> None:
    (found,) = wrong_answers.load_all(exercise)
    assert found.about.marks == {"add-tests": 0}
    cells = {cell.id: cell.source for cell in views.reference_view(exercise, found.answers).cells}
    assert cells["add"] == "total = 3"
    assert "total == 2" in cells["add-tests"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (":answer: add", ":answer: sum", "no answer cell 'sum'"),
        (":answer: add", ":answer: [add]", r"no answer cell \"\['add'\]\""),
        (":answer: add", ":answer: add\n:tags: one", "not of type 'array'"),
        ("total = 3\n```", "total = 3", "is never closed"),
        ("add-tests: 0", "add: 0", "no test cell 'add'"),
        ("why:", "because:", "because"),
        (":answer: add\n", "", "no answer cell ''"),
        ("add-tests: 0", "add-tests: 2", "2 points for 'add-tests'"),
        ("{add-tests: 0}", "{}", "loses no points"),
        ("total = 3\n```\n", "x\n```\n\n```{code-cell} python\n:answer: add\n```\n", "replaced twice"),
        ("```{code-cell} python\n:answer: add\n\ntotal = 3\n```\n", "text", "replaces no answer"),
    ],
)
def test_mistake_is_reported(
    exercise: source.Exercise, tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "ex01-lab/wrong/off.md"
    path.write_text(WRONG.replace(old, new))
    with pytest.raises(ExerciseError, match=said):
        wrong_answers.load_all(exercise)


def test_mistake_is_reported_with_line_and_remedy(exercise: source.Exercise, tmp_path: Path) -> None:
    path = tmp_path / "ex01-lab/wrong/off.md"
    path.write_text(WRONG.replace(":answer: add", ":answer: sum"))
    _, (problem,) = wrong_answers.examine(path, exercise)
    assert str(problem) == f"{path}, line 6: no answer cell 'sum'"
    assert problem.remedy == "Answer cells: add."


def test_a_wrong_answer_knows_the_tasks_that_it_touches(exercise: source.Exercise) -> None:
    assert wrong_answers.load_all(exercise)[0].tasks == {"add"}


def touching(name: str, *tasks: str, **marks: float) -> wrong_answers.WrongAnswer:
    return wrong_answers.WrongAnswer(
        Path(name), wrong_answers.WrongAnswerInfo("why", marks), {}, frozenset(tasks)
    )


def test_rounds_are_few_and_touch_each_task_once() -> None:
    wrongs = [touching(f"{task}{number}", task) for task in "abc" for number in range(3)]
    wrongs += [touching("ab", "a", "b"), touching("bc", "b", "c")]
    found = wrong_answers.plan_rounds(wrongs)
    assert sorted(str(one.path) for together in found for one in together) == sorted(
        str(one.path) for one in wrongs
    )
    for together in found:
        tasks = [task for one in together for task in one.tasks]
        assert len(tasks) == len(set(tasks))
    assert len(found) == 5  # b is touched five times
    assert found == wrong_answers.plan_rounds(list(reversed(wrongs)))


def test_no_wrong_answers_need_no_round() -> None:
    assert wrong_answers.plan_rounds([]) == []


def test_expected_marks_are_full_except_listed_tests(exercise: source.Exercise) -> None:
    assert wrong_answers.expected_marks(exercise, []) == {"add-tests": 2, "add-hidden-tests": 1}
    assert wrong_answers.expected_marks(exercise, wrong_answers.load_all(exercise)) == {
        "add-tests": 0,
        "add-hidden-tests": 1,
    }
