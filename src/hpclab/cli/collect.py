"""hpclab collect: take what students handed in, and give receipts."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from hpclab.cli.course import complete_lab_of_course, course_option, lab_called, when_in
from hpclab.grading import settings
from hpclab.grading.settings import Course
from hpclab.grading.submissions import collect as intake
from hpclab.grading.submissions import sources, student_ids
from hpclab.grading.submissions.collect import REFUSED, TAKEN, UNCHANGED, How, Outcome
from hpclab.grading.submissions.incoming import Found
from hpclab.grading.submissions.receipt_text import printable

LISTED = 40  # names in one sentence
COLOURS = {TAKEN: "green", UNCHANGED: "dim", REFUSED: "red"}


@click.command()
@click.argument("lab", shell_complete=complete_lab_of_course)
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--from",
    "kind",
    type=click.Choice(["auto", *sources.KINDS]),
    default="auto",
    show_default=True,
    help="What SOURCE is: nbgrader's exchange (the course's folder there, or its `inbound`), a folder for each student,"
    " or a download from Canvas or Moodle. `auto` tells by the names in it.",
)
@click.option(
    "--received",
    metavar="TIME",
    help="When these were handed in, where the source does not tell: a time such as 2026-10-14T23:59:59 in the"
    " class's zone, or `now`. What Canvas marked as late still counts from now.",
)
@click.option("--add", is_flag=True, help="Add students whom the class does not know to its settings.")
@click.option(
    "--worksheet",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Moodle's grading worksheet of this assignment (CSV), which says whose number is whose.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each submission, for programs.")
@course_option
@click.pass_context
def collect(
    ctx: click.Context,
    lab: str,
    source: Path,
    kind: str,
    received: str | None,
    add: bool,
    worksheet: Path | None,
    as_json: bool,
    folder: Path,
) -> None:
    """Take what students handed in for LAB from SOURCE, a folder or an archive (zip, tar).

    Every version is kept by its content and gets a receipt, in the class's folder under receipts.
    Nothing in SOURCE is changed, and collecting again is harmless. Ends with status 1 when
    something was refused.
    """
    course = settings.load(folder)
    lab = lab_called(course, lab)
    when = None if received is None else time.time() if received == "now" else when_in(course, received)
    interactive = sys.stdin.isatty() and sys.stderr.isatty() and not as_json
    progress = Progress(
        TextColumn("collecting"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    bar = progress.add_task("", total=None)

    def ask(found: Found, close: list[str]) -> str:
        progress.stop()
        try:
            return _ask(course, found, close)
        finally:
            progress.start()

    with progress:
        outcomes = intake.collect(
            course,
            lab,
            source,
            kind,
            How(
                received=when,
                add=add,
                worksheet=worksheet,
                ask=ask if interactive else None,
                progress=lambda label, done, of: progress.update(
                    bar, completed=done, total=of, description=printable(label)[:40]
                ),
            ),
        )
    if as_json:
        for one in outcomes:
            click.echo(msgspec.json.encode(one, order="sorted"))
    else:
        _show(lab, outcomes, settings.load(folder))
    ctx.exit(1 if any(one.what == REFUSED for one in outcomes) else 0)


def _ask(course: Course, found: Found, close: Sequence[str]) -> str:
    """Who this is: an id of the class, or nothing."""
    number = f", number {found.lms} there" if found.lms else ""
    click.echo(
        f"Whose is {printable(found.label)}? The source calls them {printable(found.name)}{number}.", err=True
    )
    while True:
        answer: str = click.prompt(
            "Student's id (empty: leave it out)", default=close[0] if close else "", err=True
        ).strip()
        if not answer or answer in course.students:
            return answer
        near = ", ".join(student_ids.near(answer, course.students)) or "nobody"
        click.echo(f"There is no {printable(answer)} in this class; near it: {near}.", err=True)


def _show(lab: str, outcomes: Sequence[Outcome], course: Course) -> None:
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    if not outcomes:
        out.print(f"Nothing for {lab} is there.", markup=False)
        return
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for column in ("submission", "student", "", f"received ({course.zone.key})", "receipt", "remarks"):
        table.add_column(column, overflow="fold")
    for one in outcomes:
        given = one.receipt
        received = f"{course.shown(given.received).partition(' (')[0]}, {one.late}" if given else ""
        number = f"{given.number} ({given.hash[:12]})" if given else ""
        row = (printable(one.label), one.student, one.what, received, number, printable(one.why))
        table.add_row(*(Text(cell, style=COLOURS[one.what] if cell == one.what else "") for cell in row))
    out.print(table)
    counts = Counter(one.what for one in outcomes)
    there = {one.student for one in outcomes if one.receipt}
    missing = [id for id in course.students if id not in there]
    listed = ", ".join(missing[:LISTED]) + (
        f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
    )
    said = ", ".join(f"{counts[what]} {what}" for what in (TAKEN, UNCHANGED, REFUSED))
    out.print(f"{said}. Not in this source: {listed or 'nobody'}.", markup=False)
