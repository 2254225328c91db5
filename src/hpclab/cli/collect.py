"""hpclab collect: take students' submissions and issue receipts."""

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
from rich.text import Text

from hpclab.app.course.labs import find_lab
from hpclab.cli.course import complete_lab, course_option, make_table, parse_time
from hpclab.grading import settings
from hpclab.grading.settings import Course
from hpclab.grading.submissions import collect as intake
from hpclab.grading.submissions import sources, student_ids
from hpclab.grading.submissions.collect import REFUSED, TAKEN, UNCHANGED, CollectOptions, CollectOutcome
from hpclab.grading.submissions.receipt_text import printable
from hpclab.grading.submissions.staging import Submission

MOST_NAMES = 40  # in one sentence
COLOURS = {TAKEN: "green", UNCHANGED: "dim", REFUSED: "red"}


@click.command()
@click.argument("lab", shell_complete=complete_lab)
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--from",
    "kind",
    type=click.Choice(["auto", *sources.KINDS]),
    default="auto",
    show_default=True,
    help="What SOURCE is: nbgrader's exchange (the course's folder there, or its `inbound`), a folder for each student,"
    " or a download from Canvas or Moodle. `auto` decides by the names in it.",
)
@click.option(
    "--received",
    metavar="TIME",
    help="When these were submitted, if the source doesn't say: a time such as 2026-10-14T23:59:59 in the"
    " course's zone, or `now`. Submissions that Canvas marked as late always get the present time.",
)
@click.option("--add", is_flag=True, help="Add unknown students to the course's settings.")
@click.option(
    "--worksheet",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Moodle's grading worksheet of this assignment (CSV), which maps Moodle's numbers to students.",
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each submission, for programs.")
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
    """Take submissions of LAB from SOURCE, a folder or an archive (zip, tar).

    Every version is kept and gets a receipt, in the course's folder under receipts. Nothing in
    SOURCE is changed, and collecting again is safe. Exits with status 1 when a submission was
    refused.
    """
    course = settings.load(folder)
    lab = find_lab(course, lab)
    when = None if received is None else time.time() if received == "now" else parse_time(course, received)
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

    def ask(submission: Submission, near: list[str]) -> str:
        progress.stop()
        try:
            return _ask_student(course, submission, near)
        finally:
            progress.start()

    with progress:
        outcomes = intake.collect(
            course,
            lab,
            source,
            kind,
            CollectOptions(
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
        for outcome in outcomes:
            click.echo(msgspec.json.encode(outcome, order="sorted"))
    else:
        _show_outcomes(lab, outcomes, settings.load(folder))
    ctx.exit(1 if any(outcome.what == REFUSED for outcome in outcomes) else 0)


def _ask_student(course: Course, submission: Submission, near: Sequence[str]) -> str:
    """Ask whose submission this is: an id of the course, or empty."""
    number = f", number {submission.lms} there" if submission.lms else ""
    click.echo(
        f"Whose submission is {printable(submission.label)}?"
        f" The source names {printable(submission.name)}{number}.",
        err=True,
    )
    while True:
        answer: str = click.prompt(
            "Student's id (empty: leave it out)", default=near[0] if near else "", err=True
        ).strip()
        if not answer or answer in course.students:
            return answer
        similar = ", ".join(student_ids.near(answer, course.students)) or "none"
        click.echo(f"There is no {printable(answer)} in this course; similar ids: {similar}.", err=True)


def _show_outcomes(lab: str, outcomes: Sequence[CollectOutcome], course: Course) -> None:
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    if not outcomes:
        out.print(f"The source has no submissions of {lab}.", markup=False)
        return
    table = make_table("submission", "student", "", f"received ({course.zone.key})", "receipt", "remarks")
    for outcome in outcomes:
        receipt = outcome.receipt
        received = (
            f"{course.format_time(receipt.received).partition(' (')[0]}, {outcome.late}" if receipt else ""
        )
        number = f"{receipt.number} ({receipt.hash[:12]})" if receipt else ""
        what = Text(outcome.what, style=COLOURS[outcome.what])
        remarks = Text(printable(outcome.why))
        table.add_row(Text(printable(outcome.label)), outcome.student, what, received, number, remarks)
    out.print(table)
    counts = Counter(outcome.what for outcome in outcomes)
    submitted = {outcome.student for outcome in outcomes if outcome.receipt}
    missing = [student for student in course.students if student not in submitted]
    listed = ", ".join(missing[:MOST_NAMES]) + (
        f" and {len(missing) - MOST_NAMES} more" if len(missing) > MOST_NAMES else ""
    )
    summary = ", ".join(f"{counts[what]} {what}" for what in (TAKEN, UNCHANGED, REFUSED))
    out.print(f"{summary}. Not in this source: {listed or 'none'}.", markup=False)
