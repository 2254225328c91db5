"""hpclab report: a class at a glance."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab.cli.course import course_option
from hpclab.cli.course_labs import complete_lab, lab_named, marked
from hpclab.files import write_whole
from hpclab.grading import gradebook, settings
from hpclab.grading.model import Lab, Result
from hpclab.grading.reports import class_report as reporting
from hpclab.grading.reports import class_report_page
from hpclab.grading.reports.class_report import Summary
from hpclab.grading.reports.feedback_page import points
from hpclab.grading.sanitize import line
from hpclab.grading.settings import Course


@click.command()
@click.argument("lab", shell_complete=complete_lab)
@click.option("--names", is_flag=True, help="Also list everybody here; the page has them in any case.")
@course_option
def report(lab: str, names: bool, folder: Path) -> None:
    """Show how the class did in LAB: marks, what people stumbled over, whom to look at.

    Also writes a page, reports/LAB.html in the class's folder, for instructors only.
    """
    course = settings.load(folder)
    name = lab_named(course, lab)
    there = marked(course, name)
    found = reporting.summary(
        course.title, newest(course, there.results, there.unmarked), there.rows, there.results
    )
    path = folder / "reports" / f"{name}.html"
    write_whole(path, class_report_page.html(found))
    path.chmod(0o600)
    show(found, everybody=names)
    click.echo(f"\n{path}")


def newest(course: Course, *kinds: object) -> Lab:
    """The lab as the newest of these results knows it."""
    every: list[Result] = [one for kind in kinds if isinstance(kind, dict) for one in kind.values()]
    return gradebook.lab_of(course, max(every, key=lambda one: one.task.received))


def show(found: Summary, *, everybody: bool) -> None:
    """The same in a terminal."""
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    out.print(f"{found.title}: {found.sentence}", markup=False)
    if found.marks:
        tallest = max(found.bins)
        for at, count in enumerate(found.bins):
            drawn = "█" * round(30 * count / tallest)
            out.print(f"{10 * at:>4} to {10 * at + 10:<3} %  {drawn} {count or ''}".rstrip(), markup=False)
        out.print(_tasks(found))
    for row in found.troubles:
        out.print(Text(f"{row.student}: {line(row.trouble, 300)}", style="red"))
    for row in found.looks:
        out.print(Text(f"{row.student}: to be looked at in the formgrader", style="yellow"))
    if everybody:
        out.print(_everybody(found))


def _tasks(found: Summary) -> Table:
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for heading in ("task", "points", "all of it", "some", "nothing", "most often"):
        table.add_column(
            heading, overflow="fold", justify="left" if heading in ("task", "most often") else "right"
        )
    for task in found.tasks:
        reasons = "\n".join(f"{count}: {text}" for text, count in task.reasons[:3])
        table.add_row(
            Text(task.name),
            points(task.points),
            str(task.full),
            str(task.part),
            str(task.none),
            Text(reasons),
        )
    return table


def _everybody(found: Summary) -> Table:
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for heading in ("student", "mark", "late", "verdict", "remarks"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "mark" else "left")
    for row in found.rows:
        mark = points(row.score) if row.score is not None else "-"
        verdict = row.verdict or ("" if row.handed_in else "nothing handed in")
        cells = (row.student, mark, row.late, verdict, "; ".join(reporting.remarks(row)))
        table.add_row(*(Text(cell) for cell in cells))
    return table
