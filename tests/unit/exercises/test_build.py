"""A learner's work is never overwritten."""

import os
from pathlib import Path

import pytest

from hpclab.errors import ExerciseError
from hpclab.exercises import build
from hpclab.exercises.lab_names import list_sources

from .test_source import GOOD


@pytest.fixture
def author(tmp_path: Path) -> Path:
    path = tmp_path / "notebooks/00-x/ex01-lab.md"
    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    return path


def test_builds_are_stable(author: Path, tmp_path: Path) -> None:
    first = build.write_student(author, tmp_path / "one").read_bytes()
    assert first == build.write_student(author, tmp_path / "two").read_bytes()
    assert (tmp_path / "one/00-x/ex01-lab.ipynb").is_file()


def test_unchanged_notebook_is_not_rewritten(author: Path, tmp_path: Path) -> None:
    path = build.write_student(author, tmp_path / "out")
    before = path.stat().st_ino
    build.write_student(author, tmp_path / "out")
    assert path.stat().st_ino == before


def test_list_sources_finds_only_labs(author: Path, tmp_path: Path) -> None:
    (author.parent / "ex01-lab").mkdir()
    (author.parent / "ex01-lab/wrong.md").write_text("x")
    (author.parent / "README.md").write_text("x")
    assert list_sources(tmp_path / "notebooks") == [author]


def test_delivery_stops_when_the_learner_edits(author: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    notebook = build.write_student(author, tmp_path / "build")
    assert build.deliver(notebook, lab).outcome == "new"
    assert build.deliver(notebook, lab).outcome == "unchanged"

    author.write_text(GOOD.replace("Some *text*.", "Better text."))
    notebook = build.write_student(author, tmp_path / "build")
    updated = build.deliver(notebook, lab)
    assert updated.outcome == "updated"
    assert "Better text." in updated.path.read_text()

    updated.path.write_text(updated.path.read_text().replace("Better text.", "My notes."))
    author.write_text(GOOD)
    kept = build.deliver(build.write_student(author, tmp_path / "build"), lab)
    assert kept.outcome == "kept"
    assert "rename it" in kept.message
    assert "My notes." in kept.path.read_text()


def test_a_notebook_of_unknown_origin_is_kept(author: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "ex01-lab.ipynb").write_text("mine")
    assert build.deliver(build.write_student(author, tmp_path / "build"), lab).outcome == "kept"
    assert (lab / "ex01-lab.ipynb").read_text() == "mine"


def test_a_folder_in_the_way_is_kept(author: Path, tmp_path: Path) -> None:
    (tmp_path / "lab/ex01-lab.ipynb").mkdir(parents=True)
    assert build.deliver(build.write_student(author, tmp_path / "build"), tmp_path / "lab").outcome == "kept"


def test_empty_file_of_the_learner_is_kept(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    lab = tmp_path / "lab"
    build.deliver(tmp_path / "empty", lab)
    (lab / "empty").unlink()
    for make in ((lab / "empty").mkdir, lambda: (lab / "empty").symlink_to("nowhere")):
        make()
        for content in ("", "new"):
            (tmp_path / "empty").write_text(content)
            assert build.deliver(tmp_path / "empty", lab).outcome == "kept"
        if (lab / "empty").is_dir():
            (lab / "empty").rmdir()
    assert (lab / "empty").is_symlink()


def test_damaged_record_is_an_error_with_a_remedy(author: Path, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / build.RECORD).write_text("[")
    with pytest.raises(ExerciseError, match="Delete"):
        build.deliver(build.write_student(author, tmp_path / "build"), tmp_path / "lab")


def test_any_file_is_delivered_and_kept_when_edited(tmp_path: Path) -> None:
    script = tmp_path / "templates/tool.sh"
    script.parent.mkdir()
    script.write_text("one")
    script.chmod(0o755)
    lab = tmp_path / "lab/templates"
    told = build.deliver(script, lab)
    assert told.outcome == "new" and os.access(told.path, os.X_OK)
    script.write_text("two")
    assert build.deliver(script, lab).outcome == "updated"
    told.path.write_text("mine")
    assert build.deliver(script, lab).outcome == "kept"
    assert told.path.read_text() == "mine"


def test_learners_get_templates_without_caches(tmp_path: Path) -> None:
    for name in ("a.sbatch", "deep/b.py", "__pycache__/c.pyc", ".d", "deep/.e/f"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in build.list_templates(tmp_path)] == ["a.sbatch", "b.py"]
    assert build.list_templates(tmp_path / "none") == []
