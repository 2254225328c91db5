"""hpclab report: how a course did in a lab."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab.app.course.labs import find_lab
from hpclab.app.course.report import write_report
from hpclab.cli.course import complete_lab, course_option, make_table
from hpclab.grading import settings
from hpclab.grading.reports.class_report import ClassSummary, list_remarks
from hpclab.grading.reports.wording import format_points
from hpclab.grading.sanitize import line


@click.command()
@click.argument("lab", shell_complete=complete_lab)
@click.option("--names", is_flag=True, help="Also list all students here; the page lists them in any case.")
@course_option
def report(lab: str, names: bool, folder: Path) -> None:
    """Show how the course did in LAB: marks, frequent mistakes, submissions to review.

    Also writes a page, reports/LAB.html in the course's folder, for instructors only.
    """
    course = settings.load(folder)
    summary, path = write_report(course, find_lab(course, lab))
    show_summary(summary, students=names)
    click.echo(f"\n{path}")


def show_summary(summary: ClassSummary, *, students: bool) -> None:
    """Print the content of the page."""
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    out.print(f"{summary.title}: {summary.sentence}", markup=False)
    if summary.marks:
        most = max(summary.bins)
        for number, count in enumerate(summary.bins):
            bar = "█" * round(30 * count / most)
            out.print(
                f"{10 * number:>4} to {10 * number + 10:<3} %  {bar} {count or ''}".rstrip(), markup=False
            )
        out.print(_task_table(summary))
    for row in summary.without_mark:
        out.print(Text(f"{row.student}: {line(row.trouble, 300)}", style="red"))
    for row in summary.to_review:
        out.print(Text(f"{row.student}: review this submission in the formgrader", style="yellow"))
    if students:
        out.print(_student_table(summary))


def _task_table(summary: ClassSummary) -> Table:
    table = make_table(
        "task",
        "points",
        "all points",
        "some",
        "none",
        "frequent findings",
        right=("points", "all points", "some", "none"),
    )
    for task in summary.tasks:
        reasons = "\n".join(f"{count}: {text}" for text, count in task.reasons[:3])
        counts = (str(count) for count in (task.full, task.part, task.none))
        table.add_row(Text(task.name), format_points(task.points), *counts, Text(reasons))
    return table


def _student_table(summary: ClassSummary) -> Table:
    table = make_table("student", "mark", "late", "verdict", "remarks", right=("mark",))
    for row in summary.rows:
        mark = format_points(row.score) if row.score is not None else "-"
        verdict = row.verdict or ("" if row.handed_in else "nothing submitted")
        cells = (row.student, mark, row.late, verdict, "; ".join(list_remarks(row)))
        table.add_row(*(Text(cell) for cell in cells))
    return table
