"""An author's mistakes are reported with file, line and remedy."""

from pathlib import Path

import pytest

from hpclab.errors import ExerciseError
from hpclab.exercises import source

HEAD = """\
---
title: A lab
difficulty: 1
minutes: 10
points: 3
cost: {seconds: 5, cpus: 1}
---
"""
GOOD = (
    HEAD
    + """
Some *text*.

:::{dropdown} Hint 1
Look there.
:::

```{code-cell} python
:exercise: add
:role: answer

### BEGIN SOLUTION
total = 1 + 1
### END SOLUTION
```

```{code-cell} python
:exercise: add
:role: tests
:points: 2

assert total == 2
```

```{code-cell} python
:exercise: add
:role: hidden-tests
:points: 1

assert total + 1 == 3
```
"""
)
PATH = Path("notebooks/00-x/ex01-lab.md")


def test_a_good_source_is_read() -> None:
    exercise = source.parse(GOOD, PATH)
    assert exercise.module == "00-x"
    assert exercise.name == "ex01-lab"
    assert exercise.about.cost.seconds == 5
    assert [cell.id for cell in exercise.notebook.cells][1:] == ["add", "add-tests", "add-hidden-tests"]


def test_ids_are_the_same_at_each_reading() -> None:
    ids = [[cell.id for cell in source.parse(GOOD, PATH).notebook.cells] for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])


def test_equal_cells_get_different_ids() -> None:
    twice = HEAD.replace("points: 3", "points: 0") + "\n+++\nsame\n+++\nsame\n"
    ids = [cell.id for cell in source.parse(twice, PATH).notebook.cells]
    assert len(ids) == len(set(ids)) == 2


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (":role: tests", ":role: test", 24, "unknown role 'test'"),
        (":points: 2\n", "", 24, "have no points"),
        (":points: 2", ":points: 0", 24, "points 0"),
        (":points: 2", ":points: true", 24, "points True"),
        (":points: 2", ":point: 2", 24, "unknown cell option 'point'"),
        (":points: 2", ":points: 3", 1, "add up to 4"),
        (":role: hidden-tests", ":role: tests", 32, "is already used in line 24"),
        (":role: answer\n", "", 15, "one is missing"),
        (":exercise: add\n:role: answer", ":exercise: sum\n:role: answer", 15, "'sum' has no tests"),
        ("### END SOLUTION\n", "", 15, "has no '### END SOLUTION'"),
        ("### BEGIN SOLUTION\n", "", 15, "without '### BEGIN SOLUTION'"),
        ("### BEGIN SOLUTION\ntotal = 1 + 1\n### END SOLUTION", "total = 2", 15, "shows its solution"),
        ("assert total == 2\n```", "assert total == 2\n", 24, "is not closed before line 32"),
        ("Look there.\n:::", "Look there.", 11, "is never closed"),
        (":::{dropdown} Hint 1\n", "", 12, "closes nothing"),
        (":exercise: add\n:role: tests", ":exercise: Add it\n:role: tests", 24, "is not a valid name"),
        ("difficulty: 1", "difficulty: 5", 1, "difficulty is 5"),
        ("difficulty: 1", "stars: 1", 1, "stars"),
        ("minutes: 10", "minutes: ten", 1, "minutes"),
        ("minutes: 10", "minutes: 0", 1, "minutes"),
        ("seconds: 5", "seconds: -5", 1, "cost.seconds"),
        (":exercise: add\n:role: tests", ":exercise: [add]\n:role: tests", 24, "is not a valid name"),
        (":role: tests", ":role: [tests]", 24, "unknown role ['tests']"),
        ("assert total == 2", "### BEGIN HIDDEN TESTS", 24, "BEGIN HIDDEN TESTS"),
        ("Look there.", "  ```{code-cell} python\n  ```", 12, "inside another block or after other text"),
        ("Some *text*.", "```{code-cell} bash\nls\n```", 9, "in the language 'bash'"),
        ("Some *text*.", "```{raw-cell}\nls\n```", 9, "a raw-cell"),
    ],
)
def test_mistake_is_reported_with_line_and_remedy(old: str, new: str, line: int, said: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(ExerciseError) as caught:
        source.parse(GOOD.replace(old, new), PATH)
    assert f"{PATH}, line {line}:" in caught.value.problem
    assert said in caught.value.problem
    assert caught.value.remedy


def test_options_that_are_no_yaml() -> None:
    for old, new, said in (
        (":points: 2", ":points: [2", "Invalid YAML"),
        (":points: 2", ":[a]: 2", "unhashable"),
    ):
        with pytest.raises(ExerciseError, match=said):
            source.parse(GOOD.replace(old, new), PATH)


def test_metadata_that_no_notebook_may_have() -> None:
    with pytest.raises(ExerciseError, match="'one' is not of type 'array'"):
        source.parse(GOOD.replace(":points: 2", ":points: 2\n:tags: one"), PATH)


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "ex01-lab.md"
    path.write_text("\ufeff" + GOOD)
    assert source.load(path).about.title == "A lab"


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ExerciseError, match=r"none\.md: cannot be read"):
        source.load(tmp_path / "none.md")


def test_all_problems_are_found() -> None:
    bad = (
        GOOD.replace(":points: 2\n", "")
        .replace("### END SOLUTION\n", "")
        .replace("difficulty: 1", "difficulty: 9")
    )
    exercise, problems = source.examine_text(bad, PATH)
    assert exercise is not None
    assert [problem.line for problem in problems] == [1, 15, 23, 1]
    assert all(problem.remedy for problem in problems)


def test_example_of_a_cell_in_code_stays_code() -> None:
    shown = GOOD.replace("Some *text*.", "````text\n```{code-cell} python\n```\n````")
    assert "{code-cell}" in source.parse(shown, PATH).notebook.cells[0].source


def test_a_cell_knows_the_line_of_its_own_first_line() -> None:
    lines = GOOD.splitlines()
    cells = source.parse(GOOD, PATH).notebook.cells[1:]
    assert len(cells) == 3
    for cell in cells:
        assert lines[cell.metadata.hpclab.first - 1] == cell.source.splitlines()[0]


def test_pictures_are_read_with_the_text(tmp_path: Path) -> None:
    path = tmp_path / "ex01-lab.md"
    (tmp_path / "ex01-lab").mkdir()
    (tmp_path / "ex01-lab/a.svg").write_text("<svg/>")
    path.write_text(GOOD.replace("Some *text*.", "![a](ex01-lab/a.svg) `![b](b.svg)` ![c](c.svg)"))
    assert dict(source.load(path).images) == {"ex01-lab/a.svg": b"<svg/>"}
