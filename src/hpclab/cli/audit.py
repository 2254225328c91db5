"""hpclab audit: is everything as it was written down; and the history of a student or a lab."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab.cli.course import complete_lab_of_course, course_option, lab_called
from hpclab.grading import settings
from hpclab.grading.records import audit as looking
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.submissions.receipt_text import printable

# What the table shows of a record, by kind; the rest stands in the ledger.
SHOWN: Mapping[str, tuple[str, ...]] = {
    "received": ("hash", "source"),
    "queued": ("uuid",),
    "graded": ("verdict", "earned", "points", "hash", "grader"),
    "override": ("by", "reason"),
    "exported": ("file",),
    "mended": ("aside",),
}


@click.command()
@click.option("--student", default="", help="Show what happened with this student's work.")
@click.option(
    "--lab", default="", shell_complete=complete_lab_of_course, help="Show what happened with this lab."
)
@click.option(
    "--head",
    default="",
    metavar="SEAL",
    help="A seal that an earlier audit printed: it must still be in the ledger. Only this shows that nobody cut off its end.",
)
@click.option("--json", "as_json", is_flag=True, help="What was found as JSON, for programs.")
@course_option
@click.pass_context
def audit(ctx: click.Context, student: str, lab: str, head: str, as_json: bool, folder: Path) -> None:
    """Check the records of a class: ledger, receipts, what was handed in, results.

    Every line of the ledger carries the hash of the line before it; receipts, submissions and results are
    compared with it, byte by byte. Ends with status 1 when something is wrong. With --student or --lab,
    also a table of what happened, in order.
    """
    course = settings.load(folder)
    lab = lab_called(course, lab) if lab else ""
    report = looking.audit(folder, head=head)
    if as_json:
        click.echo(msgspec.json.encode(report))
        ctx.exit(1 if report.problems else 0)
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    if (student or lab) and report.head:
        out.print(_history(course, student, lab))
    for note in report.notes:
        out.print(f"note: {printable(note)}", markup=False, soft_wrap=True)
    for problem in report.problems:
        click.secho(printable(problem), fg="red")
    if report.problems:
        click.echo(f"{len(report.problems)} things are wrong; nothing was changed.")
        ctx.exit(1)
    click.echo(f"All is as it was written down: {report.records} records.")
    if report.head:
        click.echo(
            f"head {report.head}\nWrite it down outside this machine: `hpclab audit --head` with it shows later"
            " whether records at the end are missing."
        )


def _history(course: settings.Course, student: str, lab: str) -> Table:
    match = {key: value for key, value in (("student", student), ("lab", lab)) if value}
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for column in ("when", "what", "lab", "student", "version", ""):
        table.add_column(column, overflow="fold")
    for record in Ledger(course.folder).records(**match):
        kind = str(record["kind"])
        when = record["received"] if kind == "received" else record["at"]
        cells = (
            course.shown(float(when)),
            kind,
            *(str(record.get(key, "")) for key in ("lab", "student", "number")),
            "  ".join(_told(key, record[key]) for key in SHOWN.get(kind, ()) if key in record),
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _told(key: str, value: Any) -> str:
    return f"{key} {str(value)[:12] if key in ('hash', 'grader') else value}"
