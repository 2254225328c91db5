"""A book that is built once for all tests here: the course's pages and labs with made-up outputs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from hpclab.book import browser, build, server, stage
from hpclab.book.labs import BookLab
from hpclab.exercises import build as exercises
from hpclab.exercises import source, views
from hpclab.exercises.lab_names import list_sources

if TYPE_CHECKING:
    from playwright.sync_api import Page

LAB = "01-slurm-basics/ex01-submit-monitor"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SMALL = "format: jb-book\nroot: index\nchapters:\n  - file: 01-slurm-basics/index\n"
PLOT = "one job completed, two were cancelled"


def executed(exercise: source.Exercise) -> nbformat.NotebookNode:
    """A run that nobody made: every cell prints a long line, the last one also shows a picture."""
    notebook = views.reference_view(exercise)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, 1):
        said = PLOT if cell is cells[-1] else f"line of cell {number} " * 12
        cell.execution_count = number
        cell.outputs = [
            nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": said})  # type: ignore[no-untyped-call]
        ]
    picture = {"output_type": "display_data", "data": {"image/png": PNG}, "metadata": {}}
    cells[-1].outputs.append(nbformat.from_dict(picture))  # type: ignore[no-untyped-call]
    return notebook


class Book:
    """The course's pages in a folder of their own, where a test may change them."""

    def __init__(self, course: Path) -> None:
        self.course = course

    @property
    def html(self) -> Path:
        return build.html_folder(self.course / "build")

    def build(self) -> Path:
        made = []
        for path in list_sources(self.course / "notebooks"):
            exercise = source.load(path)
            page = views.book_view(exercise, executed(exercise))
            learner = exercises.serialize(views.student_view(exercise))
            made.append(BookLab(exercise.module, exercise.name, page, learner, ran="2026-11-25"))
        return build.build(stage.collect_sources(self.course, made), self.course / "build")

    def edit(self, page: str, change: Callable[[str], str]) -> None:
        path = self.course / page
        path.write_text(change(path.read_text()))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Book:
    """All of the course's pages and labs; built, and left alone by the tests."""
    book = Book(tmp_path_factory.mktemp("course"))
    for part in ("book", "sites", "templates", "notebooks"):
        copy(root, book.course, part)
    book.build()
    return book


@pytest.fixture
def small(tmp_path: Path, root: Path) -> Book:
    """Two pages and one lab with the course's settings, not built yet, for a test to change."""
    book = Book(tmp_path)
    for part in ("book/_config.yml", "book/_static", f"book/{LAB.split('/')[0]}", f"notebooks/{LAB}.md"):
        copy(root, book.course, part)
    (tmp_path / "book/_toc.yml").write_text(SMALL)
    (tmp_path / "book/index.md").write_text("# A small book\n\nWords.\n")
    (tmp_path / "templates").mkdir()
    (tmp_path / "book" / LAB).parent.joinpath("index.md").write_text("# Slurm\n\n```{tableofcontents}\n```\n")
    return book


def copy(root: Path, to: Path, part: str) -> None:
    """Copy a file or folder of the clone to the same place below ``to``."""
    (to / part).parent.mkdir(parents=True, exist_ok=True)
    if (root / part).is_dir():
        shutil.copytree(root / part, to / part)
    else:
        shutil.copy(root / part, to / part)


@pytest.fixture
def page(whole: Book, chromium: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A browser's page on the book's first page; whatever it asks of other servers fails the test."""
    monkeypatch.setenv("HPCLAB_BROWSER", chromium)
    asked: list[str] = []

    def elsewhere(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            asked.append(request.url)

    with server.serve(whole.html) as address, browser.open_browser() as opened:
        shown = opened.new_page(viewport={"width": 1280, "height": 900})
        shown.set_default_timeout(browser.TIMEOUT_S * 1000)
        shown.on("request", elsewhere)
        shown.goto(address)
        yield shown
    assert asked == []
