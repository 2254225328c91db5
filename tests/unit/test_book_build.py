"""Building and publishing: whole or not at all, and a missing run is named."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpclab import layout
from hpclab.book import build
from hpclab.cli import main
from hpclab.errors import BookError

TREE = {"book/_config.yml": b"title: A book\n", "book/index.md": b"# A book\n"}


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In place of Jupyter Book: what each build finds in its work folder; a page that says FAIL fails."""
    seen: list[str] = []

    def made(root: Path) -> None:
        html = root / "work/_build/html"
        seen.append("kept" if html.exists() else "afresh")
        html.mkdir(parents=True, exist_ok=True)
        text = (root / "source/book/index.md").read_text()
        (html / "index.html").write_text(text)
        (html / "x.js.map").write_text("")
        if "FAIL" in text:
            raise BookError("a warning")

    monkeypatch.setattr(build, "_jupyter_book", made)
    return seen


def built(root: Path, text: str) -> str:
    build.build({**TREE, "book/index.md": text.encode()}, root)
    return (root / "html/index.html").read_text()


def test_the_published_book_is_a_whole_copy(tmp_path: Path, maker: list[str]) -> None:
    assert built(tmp_path, "# A\n\none") == "# A\n\none"
    assert built(tmp_path, "# A\n\ntwo") == "# A\n\ntwo"
    assert maker == ["afresh", "kept"]
    assert [path.name for path in (tmp_path / "html").iterdir()] == ["index.html"]
    assert not list(tmp_path.glob(".html*"))


def test_a_build_that_fails_leaves_the_published_book_alone(tmp_path: Path, maker: list[str]) -> None:
    built(tmp_path, "# A\n\ngood")
    with pytest.raises(BookError):
        built(tmp_path, "# A\n\nFAIL")
    assert (tmp_path / "html/index.html").read_text() == "# A\n\ngood"


def test_after_a_failure_nothing_is_taken_for_read(tmp_path: Path, maker: list[str]) -> None:
    built(tmp_path, "# A\n\ngood")
    for _ in range(2):
        with pytest.raises(BookError):
            built(tmp_path, "# A\n\nFAIL")
    assert maker == ["afresh", "kept", "afresh"]


def test_a_new_title_is_shown_on_every_page(tmp_path: Path, maker: list[str]) -> None:
    built(tmp_path, "# A")
    built(tmp_path, "# B")
    assert maker == ["afresh", "afresh"]


def test_a_build_that_was_killed_begins_afresh(tmp_path: Path, maker: list[str]) -> None:
    built(tmp_path, "# A")
    build._digest_file(tmp_path).unlink()  # it is away as long as a build is at work
    (tmp_path / ".html.new").mkdir()
    built(tmp_path, "# A\n\nmore")
    assert maker == ["afresh", "afresh"]
    assert not (tmp_path / ".html.new").exists()


def test_two_builds_do_not_mix(tmp_path: Path, maker: list[str]) -> None:
    with (tmp_path / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BookError, match="another build"):
            built(tmp_path, "# A")
    assert maker == []


def test_a_hub_needs_a_repository(tmp_path: Path, maker: list[str]) -> None:
    config = b"launch_buttons: {jupyterhub_url: https://hub.org}\nrepository: {url: ''}\n"
    with pytest.raises(BookError, match="repository"):
        build.build({**TREE, "book/_config.yml": config}, tmp_path)
    config = config.replace(b"''", b"https://github.com/a/b")
    build.build({**TREE, "book/_config.yml": config}, tmp_path)


def test_a_warning_names_the_file_that_people_edit(tmp_path: Path) -> None:
    book = tmp_path / "source/book"
    said = f"{book}/01-basics/ex01-a.ipynb:30004: WARNING: bad\n{book}/index.md:7: WARNING: worse"
    assert build._name_source_files(said, book) == (
        "notebooks/01-basics/ex01-a.md, text line 4 of cell 3: WARNING: bad\nbook/index.md:7: WARNING: worse"
    )


# ---- the command ------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one lab."""
    for part in ("book", "sites", "templates"):
        shutil.copytree(root / part, tmp_path / part)
    name = "notebooks/01-slurm-basics/ex01-submit-monitor.md"
    (tmp_path / name).parent.mkdir(parents=True)
    shutil.copy(root / name, tmp_path / name)
    monkeypatch.setattr(layout, "clone_folder", lambda: tmp_path)
    return tmp_path


def test_a_missing_run_is_an_error_with_its_cure(course: Path, maker: list[str]) -> None:
    done = CliRunner().invoke(main, ["book", "build"])
    assert done.exit_code == 1
    assert "no run of this text yet: 01-slurm-basics/ex01-submit-monitor" in done.output
    assert "hpclab run 01-slurm-basics/ex01-submit-monitor" in done.output
    assert maker == []
    assert not (course / "build/book/html").exists()


def test_it_may_be_missing_when_one_says_so(course: Path, maker: list[str]) -> None:
    done = CliRunner().invoke(main, ["book", "build", "--allow-missing"])
    assert done.exit_code == 0, done.output
    assert "1 of 1 labs without outputs" in done.output
    assert (course / "build/book/html/index.html").is_file()


def test_the_book_with_answers_lies_apart(course: Path, maker: list[str]) -> None:
    page = "source/book/01-slurm-basics/ex01-submit-monitor.ipynb"
    for options in ([], ["--answers", "folded"]):
        assert CliRunner().invoke(main, ["book", "build", "--allow-missing", *options]).exit_code == 0
    answer = "python estimate.py 200000\\n"
    assert answer not in (course / "build/book" / page).read_text()
    assert answer in (course / "build/book-with-answers" / page).read_text()


def test_a_run_that_is_no_notebook_is_named(course: Path, maker: list[str]) -> None:
    path = course / "runs/01-slurm-basics/ex01-submit-monitor/executed.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    done = CliRunner().invoke(main, ["book", "build", "--runs", str(course / "runs")])
    assert done.exit_code == 1
    assert "executed.ipynb is not a notebook" in done.output


@pytest.mark.parametrize("command", ["serve", "check"])
def test_without_a_book_the_cure_is_to_build_it(course: Path, command: str) -> None:
    done = CliRunner().invoke(main, ["book", command])
    assert done.exit_code == 1
    assert "hpclab book build" in done.output
