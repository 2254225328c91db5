"""A learner's work is never overwritten."""

from pathlib import Path

import pytest

from hpclab.errors import ExerciseError
from hpclab.exercises import build

from .test_source import GOOD


@pytest.fixture
def author(tmp_path: Path) -> Path:
    path = tmp_path / "notebooks/00-x/ex01-lab.md"
    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    return path


def test_builds_are_stable(author: Path, tmp_path: Path) -> None:
    first = build.student(author, tmp_path / "one").read_bytes()
    assert first == build.student(author, tmp_path / "two").read_bytes()
    assert (tmp_path / "one/00-x/ex01-lab.ipynb").is_file()


def test_nothing_new_writes_nothing(author: Path, tmp_path: Path) -> None:
    path = build.student(author, tmp_path / "out")
    before = path.stat().st_ino
    build.student(author, tmp_path / "out")
    assert path.stat().st_ino == before


def test_sources_are_the_exercises_only(author: Path, tmp_path: Path) -> None:
    (author.parent / "ex01-lab").mkdir()
    (author.parent / "ex01-lab/wrong.md").write_text("x")
    (author.parent / "README.md").write_text("x")
    assert build.sources(tmp_path / "notebooks") == [author]


def test_a_release_follows_the_author_until_the_learner_edits(author: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    notebook = build.student(author, tmp_path / "build")
    assert build.release(notebook, lab).outcome == "new"
    assert build.release(notebook, lab).outcome == "unchanged"

    author.write_text(GOOD.replace("Some *text*.", "Better text."))
    notebook = build.student(author, tmp_path / "build")
    updated = build.release(notebook, lab)
    assert updated.outcome == "updated"
    assert "Better text." in updated.path.read_text()

    updated.path.write_text(updated.path.read_text().replace("Better text.", "My notes."))
    author.write_text(GOOD)
    kept = build.release(build.student(author, tmp_path / "build"), lab)
    assert kept.outcome == "kept"
    assert "rename it" in kept.message
    assert "My notes." in kept.path.read_text()


def test_a_notebook_of_unknown_origin_is_kept(author: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "ex01-lab.ipynb").write_text("mine")
    assert build.release(build.student(author, tmp_path / "build"), lab).outcome == "kept"
    assert (lab / "ex01-lab.ipynb").read_text() == "mine"


def test_a_folder_in_the_way_is_kept(author: Path, tmp_path: Path) -> None:
    (tmp_path / "lab/ex01-lab.ipynb").mkdir(parents=True)
    assert build.release(build.student(author, tmp_path / "build"), tmp_path / "lab").outcome == "kept"


def test_a_broken_record_is_an_error_with_a_cure(author: Path, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / build.RECORD).write_text("[")
    with pytest.raises(ExerciseError, match="Remove"):
        build.release(build.student(author, tmp_path / "build"), tmp_path / "lab")
