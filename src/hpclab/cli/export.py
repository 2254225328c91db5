"""hpclab export: marks as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from hpclab.app.course.export import export_marks
from hpclab.app.course.labs import find_lab
from hpclab.cli.course import complete_lab, course_option
from hpclab.grading import settings
from hpclab.grading.reports.export import KINDS


@click.command()
@click.argument("lab", nargs=-1, required=True, shell_complete=complete_lab)
@click.option(
    "--format",
    "kind",
    type=click.Choice(KINDS),
    default="csv",
    show_default=True,
    help="For spreadsheets and programs, or for the gradebook import of Canvas or Moodle (one lab a file).",
)
@click.option(
    "--assignment",
    help="The lab's name in Canvas or Moodle, such as 'Lab 1 (4711)'. By default the lab's title.",
)
@click.option(
    "--missing-as-zero", is_flag=True, help="Zero for students who submitted nothing; otherwise no mark."
)
@click.option(
    "--bom", is_flag=True, help="Begin the file with a byte order mark, by which Excel recognizes UTF-8."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file; by default reports/LAB.csv, LAB.canvas.csv or LAB.moodle.csv in the course's folder.",
)
@course_option
def export(
    lab: Sequence[str],
    kind: str,
    assignment: str | None,
    missing_as_zero: bool,
    bom: bool,
    out: Path | None,
    folder: Path,
) -> None:
    """Write the marks of LAB as CSV, with penalties for late work and marks set by hand.

    A submission that could not be graded has no mark, never a zero. Files for Canvas and Moodle leave
    students without a mark out, since an empty cell would remove a mark there.

    \b
        hpclab export ex01 ex02                          everything, a row for each student and lab
        hpclab export ex01 --format canvas --assignment "Lab 1 (4711)"
        hpclab export ex01 --format moodle
    """
    course = settings.load(folder)
    exported = export_marks(
        course,
        list(dict.fromkeys(find_lab(course, name) for name in lab)),
        kind,
        assignment=assignment,
        missing_as_zero=missing_as_zero,
        byte_order_mark=bom,
        out=out,
    )
    click.echo(exported.path)
    if exported.without_mark:
        click.echo(f"Submitted, but without a mark: {', '.join(exported.without_mark)}", err=True)
    if exported.to_review:
        click.echo(f"To review in the formgrader first: {', '.join(exported.to_review)}", err=True)
