"""The course's book, from its pages and the kept runs of the labs."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from hpclab import headless, layout
from hpclab.app.lab_run import build_folder, runs_folder
from hpclab.book import browser, links, stage
from hpclab.book import build as book_build
from hpclab.book.labs import BookLab, is_run_of
from hpclab.errors import BookError
from hpclab.exercises import build, source, views
from hpclab.exercises.lab_names import list_sources

Answers = Literal["out", "folded"]


@dataclass(frozen=True)
class BuiltBook:
    """The first page of a book, how many labs it has, and the labels of those without outputs."""

    page: Path
    labs: int
    without_outputs: list[str]


@dataclass(frozen=True)
class CheckedBook:
    """The faults of a built book, and how much was checked. ``views`` and ``browser`` are of the browser's check."""

    faults: list[str]
    pages: int
    links: int
    external: list[str]
    views: int = 0
    browser: str = ""


def build_book(answers: Answers, *, allow_missing: bool = False, runs: Path | None = None) -> BuiltBook:
    """Build the book; outputs come from the runs kept in ``runs``. Nothing is executed.

    Raises BookError, also for labs without a run of their present text unless ``allow_missing``.
    """
    course = layout.clone_folder()
    runs = runs or runs_folder()
    labs = [compose_lab(path, runs, answers) for path in list_sources(course / "notebooks")]
    missing = [lab.label for lab in labs if not lab.ran]
    if missing and not allow_missing:
        raise BookError(
            f"no run of this text yet: {', '.join(missing)}",
            f"Run: hpclab run {' '.join(missing)}    (or build without outputs: --allow-missing)",
        )
    page = book_build.build(stage.collect_sources(course, labs), book_folder(answers)) / "index.html"
    return BuiltBook(page, len(labs), missing)


def book_folder(answers: Answers) -> Path:
    """Where the book is built. The book with answers has a folder of its own, so that it is not published by mistake."""
    return build_folder() / ("book" if answers == "out" else "book-with-answers")


def find_html(answers: Answers) -> Path:
    """The folder of the built book. Raises BookError where there is none."""
    folder = book_build.html_folder(book_folder(answers))
    if not folder.is_dir():
        option = "" if answers == "out" else f" --answers {answers}"
        raise BookError(f"there is no book in {folder}", f"Build it first: hpclab book build{option}")
    return folder


def check_book(folder: Path, *, in_browser: bool, progress: Callable[[str], None]) -> CheckedBook:
    """Check the built book in ``folder``: its links, and in a browser its pages, which ``progress`` gets by name."""
    pages = links.read_pages(folder)
    faults = list(links.find_faults(pages))
    views, version = 0, ""
    if in_browser:
        report = browser.audit(folder, progress)
        faults += report.faults
        views, version = report.views, report.version
    return CheckedBook(
        faults=faults,
        pages=len(pages),
        links=sum(len(page.links) for page in pages),
        external=list(links.list_external(pages)),
        views=views,
        browser=version,
    )


def compose_lab(path: Path, runs: Path, answers: Answers) -> BookLab:
    """The page of the lab at ``path``, with outputs where ``runs`` has a whole run of its present text."""
    exercise = source.load(path)
    executed = _read_executed(runs / exercise.module / exercise.name / headless.EXECUTED)
    if executed and not is_run_of(views.reference_view(exercise), executed):
        executed = None  # a run of an older text, or one that ended early
    return BookLab(
        exercise.module,
        exercise.name,
        page=views.book_view(exercise, executed, answers),
        learner=build.serialize(views.student_view(exercise)),
        ran=_run_day(executed) if executed else "",
    )


def _read_executed(path: Path) -> NotebookNode | None:
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        return None
    except (ValueError, nbformat.ValidationError, AttributeError) as problem:
        raise BookError(f"{path} is not a notebook: {problem}", "Run the lab again: hpclab run LAB") from None
    return notebook


def _run_day(executed: NotebookNode) -> str:
    began = executed.metadata.get("papermill", {}).get("start_time", "")
    try:
        return datetime.datetime.fromisoformat(began).date().isoformat()
    except ValueError:
        return "an unknown day"
