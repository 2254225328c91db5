"""A new lab gets the next free number and overwrites nothing."""

from pathlib import Path

import pytest

from hpclab.errors import UsageError
from hpclab.exercises import scaffold, source, views, wrong_answers


def test_skeleton_is_a_complete_lab(tmp_path: Path) -> None:
    made = scaffold.create_exercise("4", 'Über: the "page cache"', tmp_path)
    assert made[0] == tmp_path / "04-filesystems/ex01-uber-the-page-cache.md"
    exercise = source.load(made[0])
    assert exercise.about.title == 'Über: the "page cache"'
    assert len(wrong_answers.load_all(exercise)) == len(made) - 1 == 4
    assert len(wrong_answers.plan_rounds(wrong_answers.load_all(exercise))) == 2
    views.student_view(exercise)


def test_next_number_is_used_and_nothing_overwritten(tmp_path: Path) -> None:
    (tmp_path / "01-slurm-basics").mkdir()
    (tmp_path / "01-slurm-basics/ex07-old.md").write_text("old")
    (tmp_path / "01-slurm-basics/ex09-left").mkdir()
    assert scaffold.create_exercise("01", "One", tmp_path)[0].name == "ex10-one.md"
    assert scaffold.create_exercise("01-slurm", "One", tmp_path)[0].name == "ex11-one.md"
    assert (tmp_path / "01-slurm-basics/ex07-old.md").read_text() == "old"


@pytest.mark.parametrize(
    ("module", "title", "said"),
    [
        ("7", "x", "06-debugging-hpc"),
        ("", "x", "Valid"),
        ("1", "§", "words"),
        ("1", "a\x07b", "invisible characters"),
        ("1", "a\udcff", "invisible characters"),
    ],
)
def test_invalid_module_or_title_is_refused(tmp_path: Path, module: str, title: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        scaffold.create_exercise(module, title, tmp_path)
    assert not any(tmp_path.rglob("*.md"))
