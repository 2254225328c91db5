"""Wrong answers belong to cells that exist."""

from pathlib import Path

import pytest

from hpclab.errors import ExerciseError
from hpclab.exercises import source, views, wrong

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
    (found,) = wrong.load_all(exercise)
    assert found.about.marks == {"add-tests": 0}
    cells = {cell.id: cell.source for cell in views.reference_view(exercise, found.answers).cells}
    assert cells["add"] == "total = 3"
    assert "total == 2" in cells["add-tests"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (":answer: add", ":answer: sum", "no answer cell 'sum'"),
        ("add-tests: 0", "add: 0", "no test cell 'add'"),
        ("why:", "because:", "because"),
    ],
)
def test_a_mistake_is_named(exercise: source.Exercise, tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "ex01-lab/wrong/off.md"
    path.write_text(WRONG.replace(old, new))
    with pytest.raises(ExerciseError, match=said):
        wrong.load_all(exercise)
