"""hpclab book: build, look at, and check the course's book."""

from __future__ import annotations

import datetime
from pathlib import Path

import click
import nbformat
from nbformat import NotebookNode

from hpclab import headless, layout
from hpclab.book import browser, links, server, stage
from hpclab.book import build as building
from hpclab.book.labs import BookLab, is_run_of
from hpclab.cli.common import console
from hpclab.errors import BookError, HpclabError
from hpclab.exercises import build as exercises
from hpclab.exercises import source, views

answers_option = click.option(
    "--answers",
    type=click.Choice(["out", "folded"]),
    default="out",
    show_default=True,
    help="The learners' book, or the instructors' with every answer and hidden test, folded.",
)


@click.group()
def book() -> None:
    """The course's book: pages, and labs with the outputs of their last runs."""


@book.command()
@answers_option
@click.option("--allow-missing", is_flag=True, help="Labs without a run get a page without outputs.")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    help="Where `hpclab run` put the executed notebooks; by default build/runs.",
)
def build(answers: str, allow_missing: bool, runs: Path | None) -> None:
    """Build the book. Nothing is executed: outputs come from stored runs."""
    course = layout.clone_folder()
    runs = runs or course / "build" / "runs"
    found = [_lab(path, runs, answers) for path in exercises.list_sources(course / "notebooks")]
    missing = [lab.label for lab in found if not lab.ran]
    if missing and not allow_missing:
        raise BookError(
            f"no run of this text yet: {', '.join(missing)}",
            f"Run: hpclab run {' '.join(missing)}    (or build without outputs: --allow-missing)",
        )
    with console.status("building the book …"):
        page = building.build(stage.collect_sources(course, found), _root(answers)) / "index.html"
    without = f" ({len(missing)} of {len(found)} labs without outputs)" if missing else ""
    click.echo(f"{page}{without}")


@book.command()
@answers_option
@click.option("--port", type=click.IntRange(1024, 65535), default=8000, show_default=True)
def serve(answers: str, port: int) -> None:
    """Show the built book at a port of this machine, until Ctrl-C."""
    with server.serve(_built(answers), port) as address:
        click.echo(f"Open:\n\n    {address}\n\nCtrl-C stops it.")
        server.wait_for_interrupt()


@book.command()
@answers_option
@click.option("--no-browser", is_flag=True, help="Links only: open no page in a browser.")
@click.option("--external", is_flag=True, help="Also list the addresses elsewhere that the book links to.")
def check(answers: str, no_browser: bool, external: bool) -> None:
    """Check the built book: links, pictures' texts, accessibility, nothing fetched from elsewhere."""
    folder = _built(answers)
    found = links.read_pages(folder)
    faults = links.find_faults(found)
    looked = f"{len(found)} pages, {sum(len(page.links) for page in found)} links"
    if not no_browser:
        with console.status("looking at the pages in a browser …") as line:
            report = browser.audit(folder, lambda page: line.update(f"looking at {page} …"))
        faults += report.faults
        looked += f", {report.views} views in {report.version}"
    if external:
        for address in links.list_external(found):
            click.echo(address)
    if faults:
        raise BookError("\n".join(faults), f"{len(faults)} faults in {looked}.")
    click.echo(f"No fault in {looked}.")


def _root(answers: str) -> Path:
    """The book with answers lies apart, so that nobody publishes it by mistake."""
    return layout.clone_folder() / "build" / ("book" if answers == "out" else "book-with-answers")


def _built(answers: str) -> Path:
    folder = building.html_folder(_root(answers))
    if not folder.is_dir():
        option = "" if answers == "out" else f" --answers {answers}"
        raise HpclabError(f"there is no book in {folder}", f"Build it first: hpclab book build{option}")
    return folder


def _lab(path: Path, runs: Path, answers: str) -> BookLab:
    exercise = source.load(path)
    executed = _executed(runs / exercise.module / exercise.name / headless.EXECUTED)
    if executed and not is_run_of(views.reference_view(exercise), executed):
        executed = None  # a run of an older text, or one that did not come to its end
    return BookLab(
        exercise.module,
        exercise.name,
        page=views.book_view(exercise, executed, "folded" if answers == "folded" else "out"),
        learner=exercises.serialize(views.student_view(exercise)),
        ran=_day(executed) if executed else "",
    )


def _executed(path: Path) -> NotebookNode | None:
    try:
        read: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        return None
    except (ValueError, nbformat.ValidationError, AttributeError) as problem:
        raise BookError(f"{path} is no notebook: {problem}", "Run the lab again: hpclab run LAB") from None
    return read


def _day(executed: NotebookNode) -> str:
    began = executed.metadata.get("papermill", {}).get("start_time", "")
    try:
        return datetime.datetime.fromisoformat(began).date().isoformat()
    except ValueError:
        return "an unknown day"
