"""hpclab export: marks as CSV."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import click

from hpclab.cli.course import course_option
from hpclab.cli.course_labs import complete_lab, lab_named, marked
from hpclab.errors import UsageError
from hpclab.files import write_whole
from hpclab.grading import gradebook, settings
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.reports import export as exporting


@click.command()
@click.argument("lab", nargs=-1, required=True, shell_complete=complete_lab)
@click.option(
    "--format",
    "kind",
    type=click.Choice(exporting.KINDS),
    default="csv",
    show_default=True,
    help="For spreadsheets and programs, or for the gradebook import of Canvas or Moodle (one lab a file).",
)
@click.option(
    "--assignment",
    help="What Canvas or Moodle calls the lab, such as 'Lab 1 (4711)'. By default the lab's title.",
)
@click.option(
    "--missing-as-zero", is_flag=True, help="Zero for whoever handed in nothing; otherwise no mark at all."
)
@click.option(
    "--bom", is_flag=True, help="Begin the file with a byte order mark: then Excel knows that it is UTF-8."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file; by default reports/LAB.csv, LAB.canvas.csv or LAB.moodle.csv in the class's folder.",
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
    """Write the marks of LAB as CSV, with what being late costs and what a person set by hand.

    Work that could not be graded has no mark, and never a zero. In files for Canvas and Moodle whoever
    has no mark is left out, since an empty cell would remove one.

    \b
        hpclab export ex01 ex02                          everything, one row a student and lab
        hpclab export ex01 --format canvas --assignment "Lab 1 (4711)"
        hpclab export ex01 --format moodle
    """
    course = settings.load(folder)
    names = list(dict.fromkeys(lab_named(course, one) for one in lab))
    if kind != "csv" and len(names) > 1:
        raise UsageError(
            f"{kind} takes one lab a file, and {len(names)} are named", "Name one, or use --format csv."
        )
    found = [marked(course, name) for name in names]
    some = next(iter({**found[0].unmarked, **found[0].results}.values()))
    known = gradebook.lab_of(course, some)
    data = exporting.export(
        kind,
        course,
        [row for one in found for row in one.rows],
        assignment=assignment or known.title,
        points=sum(test.points for test in known.tests),
        missing_as_zero=missing_as_zero,
        mark_order=bom,
    )
    path = (
        out or folder / "reports" / f"{'+'.join(names)[:80]}{'' if kind == 'csv' else f'.{kind}'}.csv"
    ).absolute()
    write_whole(path, data)
    path.chmod(0o600)
    Ledger(folder).append(
        "exported",
        file=str(path.relative_to(folder) if path.is_relative_to(folder) else path),
        sha256=hashlib.sha256(data).hexdigest(),
        labs=names,
        format=kind,
        missing_as_zero=missing_as_zero,
    )
    click.echo(path)
    rows = [row for one in found for row in one.rows]
    if without := sorted({row.student for row in rows if row.handed_in and row.score is None}):
        click.echo(f"Handed in, but without a mark: {', '.join(without)}", err=True)
    if looks := sorted({row.student for row in rows if row.needs_look}):
        click.echo(f"To be looked at in the formgrader first: {', '.join(looks)}", err=True)
