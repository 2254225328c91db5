"""hpclab audit: check a course's records, and show the history of a student or a lab."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.text import Text

from hpclab.app.course import history
from hpclab.app.course.labs import find_lab
from hpclab.cli.course import complete_lab, complete_student, course_option, make_table
from hpclab.grading import settings
from hpclab.grading.records import audit as records
from hpclab.grading.submissions.receipt_text import printable


@click.command()
@click.option(
    "--student", default="", shell_complete=complete_student, help="Show the history of this student's work."
)
@click.option("--lab", default="", shell_complete=complete_lab, help="Show the history of this lab.")
@click.option(
    "--head",
    default="",
    metavar="SEAL",
    help="A seal that an earlier audit printed and that must still be in the ledger; detects missing records at its end.",
)
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON, for programs.")
@course_option
@click.pass_context
def audit(ctx: click.Context, student: str, lab: str, head: str, as_json: bool, folder: Path) -> None:
    """Check the records of a course: ledger, receipts, submissions, results.

    Every line of the ledger carries the hash of the line before it; receipts, submissions and results are
    compared with it, byte by byte. Exits with status 1 when something is wrong. With --student or --lab,
    also shows a table of what happened, in order.
    """
    course = settings.load(folder)
    lab = find_lab(course, lab) if lab else ""
    report = records.audit(folder, head=head)
    if as_json:
        click.echo(msgspec.json.encode(report))
        ctx.exit(1 if report.problems else 0)
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    if (student or lab) and report.head:
        table = make_table(*history.COLUMNS)
        for row in history.list_history(course, student=student, lab=lab):
            table.add_row(*(Text(printable(cell)) for cell in row))
        out.print(table)
    for note in report.notes:
        out.print(f"note: {printable(note)}", markup=False, soft_wrap=True)
    for problem in report.problems:
        click.secho(printable(problem), fg="red")
    if report.problems:
        click.echo(f"{len(report.problems)} problems; nothing was changed.")
        ctx.exit(1)
    click.echo(f"All records agree: {report.records} records.")
    if report.head:
        click.echo(
            f"head {report.head}\nWrite it down outside this machine: `hpclab audit --head` with it shows later"
            " whether records at the end are missing."
        )
