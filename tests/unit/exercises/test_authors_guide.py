"""The examples and tables of the author's guide agree with the code."""

import re
from pathlib import Path

from hpclab.exercises import cells, plain_markdown, required_parts, scaffold, source, views, wrong_answers

EXAMPLE = re.compile(r"^``````text\n(.*?)^``````$", re.MULTILINE | re.DOTALL)


def test_the_examples_are_an_exercise_and_its_wrong_answer(root: Path, tmp_path: Path) -> None:
    exercise_text, wrong_text = EXAMPLE.findall((root / "book/authors-guide.md").read_text())
    path = tmp_path / "notebooks/01-slurm-basics/ex09-nodes.md"
    (path.with_suffix("") / "wrong").mkdir(parents=True)
    path.write_text(exercise_text)
    (path.with_suffix("") / "wrong/idle.md").write_text(wrong_text)
    exercise = source.load(path)
    assert [cell.id for cell in exercise.notebook.cells if cells.cell_id(cell)] == [
        "nodes",
        "nodes-tests",
        "nodes-hidden-tests",
    ]
    assert wrong_answers.expected_marks(exercise, wrong_answers.load_all(exercise)) == {
        "nodes-tests": 1,
        "nodes-hidden-tests": 0,
    }
    assert views.STUB in [cell.source for cell in views.student_view(exercise).cells]


def test_the_tables_name_every_option_role_and_field(root: Path) -> None:
    guide = (root / "book/authors-guide.md").read_text()
    for name in cells.OPTIONS:
        assert f"| `:{name}: " in guide
    for name in cells.ROLES:
        assert f"| `{name}` |" in guide
    for name in source.About.__struct_fields__:
        assert f"| `{name}` |" in guide
    for words in (
        cells.BEGIN,
        cells.END,
        views.STUB,
        "You will be able to",
        *required_parts.SECTIONS,
        *required_parts.HINTS,
    ):
        assert words.lower() in guide.lower()
    for name in plain_markdown.OTHER_DIRECTIVES:
        assert f"{{{name}}}" in guide


def test_guide_lists_the_modules_of_the_scaffold(root: Path) -> None:
    assert {path.parent.name for path in (root / "notebooks").glob("*/ex*.md")} <= set(scaffold.MODULES)
