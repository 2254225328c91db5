"""The content of the book's source tree."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import nbformat
import pytest

from hpclab.book import stage, toc
from hpclab.book.labs import BookLab
from hpclab.errors import BookError

TOC = """\
format: jb-book
root: index
parts:
  - caption: The course
    chapters:
      - file: 01-basics/index
      - file: 02-more/index
      - file: sites/plain
"""


def notebook(*cells: dict[str, object]) -> nbformat.NotebookNode:
    return nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)})  # type: ignore[no-untyped-call]


def text(source: str, name: str = "title") -> dict[str, object]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def lab(name: str = "ex01-first", module: str = "01-basics") -> BookLab:
    return BookLab(module, name, notebook(text("# The first lab")), b"{}\n", ran="2026-11-25")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    files = {
        "book/_config.yml": "title: A book\n",
        "book/_toc.yml": TOC,
        "book/index.md": "# A book\n\nBegin.\n",
        "book/01-basics/index.md": "# Basics\n",
        "book/02-more/index.md": "# More\n",
        "book/_build/left.html": "old",
        "templates/job.sbatch": "#!/bin/bash\n",
        "notebooks/01-basics/ex01-first.md": "the lab's source, with answers",
        "notebooks/01-basics/picture.svg": "<svg/>",
        "notebooks/01-basics/ex01-first/wrong/secret.png": "not for readers",
        "sites/plain.toml": 'name = "plain"\ntitle = "Plain"\n[submit]\n',
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_tree_has_pages_labs_notes_and_templates(course: Path) -> None:
    assert set(stage.collect_sources(course, [lab()])) == {
        "book/_config.yml",
        "book/_toc.yml",
        "book/index.md",
        "book/01-basics/index.md",
        "book/02-more/index.md",
        "book/01-basics/ex01-first.ipynb",
        "book/01-basics/picture.svg",
        "book/downloads/01-basics/ex01-first.ipynb",
        "book/sites/plain.md",
        "templates/job.sbatch",
    }


def test_labs_are_listed_below_their_module() -> None:
    made = msgspec.yaml.decode(toc.insert_labs(TOC.encode(), ["01-basics/ex01-a", "01-basics/ex02-b"]))
    [part] = made["parts"]
    assert part["chapters"] == [
        {"file": "01-basics/index", "sections": [{"file": "01-basics/ex01-a"}, {"file": "01-basics/ex02-b"}]},
        {"file": "02-more/index"},
        {"file": "sites/plain"},
    ]


def test_module_without_a_page_is_an_error_with_remedy() -> None:
    with pytest.raises(BookError) as raised:
        toc.insert_labs(TOC.encode(), ["03-new/ex01-x"])
    assert "03-new/ex01-x" in raised.value.problem
    assert "book/03-new/index.md" in raised.value.remedy


def test_page_with_the_name_of_a_generated_file_is_refused(course: Path) -> None:
    (course / "book/sites").mkdir()
    (course / "book/sites/plain.md").write_text("# By hand\n")
    with pytest.raises(BookError, match=r"have the same name: book/sites/plain\.md"):
        stage.collect_sources(course, [])


@pytest.mark.parametrize(
    ("pages", "says"),
    [
        (["index.md", "01-basics/index.md", "02-more/index.md"], "sites/plain is listed but does not exist"),
        (
            ["index.md", "01-basics/index.md", "02-more/index.md", "sites/plain.md", "x.md"],
            "x is not listed",
        ),
    ],
)
def test_table_must_list_every_page_and_no_other(pages: list[str], says: str) -> None:
    with pytest.raises(BookError, match=says):
        toc.check_toc(TOC.encode(), pages)


def test_page_listed_twice_is_refused() -> None:
    pages = ["index.md", "01-basics/index.md", "02-more/index.md", "sites/plain.md"]
    toc.check_toc(TOC.encode(), pages)
    with pytest.raises(BookError, match="sites/plain is listed twice"):
        toc.check_toc(TOC.encode() + b"      - file: sites/plain\n", pages)


@pytest.mark.parametrize("name", ["_config.yml", "_toc.yml"])
def test_settings_that_are_missing_are_named(course: Path, name: str) -> None:
    (course / "book" / name).unlink()
    with pytest.raises(BookError, match=name):
        stage.collect_sources(course, [])


def test_glossary_is_converted_for_sphinx(course: Path) -> None:
    (course / "book/index.md").write_text(
        "term\n: as it was\n\n:::{glossary}\njob\n: what you submit\n  here\n:::\n"
    )
    staged = stage.collect_sources(course, [])["book/index.md"].decode()
    assert staged == "term\n: as it was\n\n:::{glossary}\njob\n  what you submit\n  here\n:::\n"


def test_write_tree_writes_changes_and_deletes_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    assert stage.write_tree({"a.md": b"one", "deep/b.md": b"two"}, folder) == ["a.md", "deep/b.md"]
    os.utime(folder / "a.md", (1, 1))
    assert stage.write_tree({"a.md": b"one"}, folder) == []
    assert (folder / "a.md").stat().st_mtime == 1
    assert [path.name for path in folder.rglob("*")] == ["a.md"]
    assert stage.write_tree({"a.md": b"new"}, folder) == ["a.md"]
    assert (folder / "a.md").read_bytes() == b"new"


def changed(course: Path, name: str, content: str) -> bool:
    """Whether all pages must be built again when ``name`` holds ``content``."""
    before = stage.digest_shared_parts(stage.collect_sources(course, [lab()]))
    (course / name).write_text(content)
    return stage.digest_shared_parts(stage.collect_sources(course, [lab()])) != before


@pytest.mark.parametrize(
    ("name", "content", "all_again"),
    [
        ("book/index.md", "# A book\n\nOther words.\n", False),
        ("book/index.md", "# A new title\n\nBegin.\n", True),
        ("book/_toc.yml", TOC.replace("The course", "Another course"), True),
        ("book/_config.yml", "title: Another\n", True),
        ("book/_static/own.css", "p {}", True),
        ("templates/job.sbatch", "#!/bin/sh\n", False),
    ],
)
def test_changes_that_rebuild_every_page(course: Path, name: str, content: str, all_again: bool) -> None:
    (course / "book/_static").mkdir()
    assert changed(course, name, content) is all_again


def test_title_of_a_lab_changes_the_digest_text_does_not() -> None:
    def shape(*cells: dict[str, object]) -> str:
        made = BookLab("01-basics", "ex01-first", notebook(*cells), b"")
        return stage.digest_shared_parts({"book/x.ipynb": stage.labs.render_page(made)})

    plain = shape(text("# One\n\nstars"), text("words", "b"))
    assert shape(text("# One\n\nstars"), text("other words", "b")) == plain
    assert shape(text("# Two\n\nstars"), text("words", "b")) != plain
