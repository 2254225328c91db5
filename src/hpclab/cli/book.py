"""hpclab book: build, look at, and check the course's book."""

from __future__ import annotations

from pathlib import Path

import click

from hpclab.app import book as app_book
from hpclab.app.book import Answers
from hpclab.book import server
from hpclab.cli.common import console, progress_line
from hpclab.errors import BookError

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
def build(answers: Answers, allow_missing: bool, runs: Path | None) -> None:
    """Build the book. Nothing is executed: outputs come from stored runs."""
    with console.status("building the book …"):
        built = app_book.build_book(answers, allow_missing=allow_missing, runs=runs)
    missing = len(built.without_outputs)
    click.echo(f"{built.page}" + (f" ({missing} of {built.labs} labs without outputs)" if missing else ""))


@book.command()
@answers_option
@click.option("--port", type=click.IntRange(1024, 65535), default=8000, show_default=True)
def serve(answers: Answers, port: int) -> None:
    """Show the built book at a port of this machine, until Ctrl-C."""
    with server.serve(app_book.find_html(answers), port) as address:
        click.echo(f"Open:\n\n    {address}\n\nCtrl-C stops it.")
        server.wait_for_interrupt()


@book.command()
@answers_option
@click.option("--no-browser", is_flag=True, help="Links only: open no page in a browser.")
@click.option("--external", is_flag=True, help="Also list the addresses elsewhere that the book links to.")
def check(answers: Answers, no_browser: bool, external: bool) -> None:
    """Check the built book: links, pictures' texts, accessibility, nothing fetched from elsewhere."""
    folder = app_book.find_html(answers)
    with progress_line("checking the pages") as progress:
        checked = app_book.check_book(
            folder, in_browser=not no_browser, progress=lambda page: progress(f"checking {page}")
        )
    extent = f"{checked.pages} pages, {checked.links} links"
    if checked.browser:
        extent += f", {checked.views} views in {checked.browser}"
    if external:
        for address in checked.external:
            click.echo(address)
    if checked.faults:
        raise BookError("\n".join(checked.faults), f"{len(checked.faults)} faults in {extent}.")
    click.echo(f"No fault in {extent}.")
