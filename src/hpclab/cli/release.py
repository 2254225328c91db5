"""hpclab release: labs for a course that works with nbgrader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from hpclab.app.course.release import check_names, release_lab, write_configuration
from hpclab.app.labs import find_labs
from hpclab.cli.common import complete_lab
from hpclab.cli.course import course_option
from hpclab.grading import settings


@click.command()
@click.argument("lab", nargs=-1, required=True, shell_complete=complete_lab)
@click.option(
    "--exchange",
    is_flag=True,
    help="Also copy each LAB into nbgrader's exchange, where students run `nbgrader fetch_assignment LAB`.",
)
@course_option
def release(lab: Sequence[str], exchange: bool, folder: Path) -> None:
    """Release LAB to a course: its notebooks under source and release, and its entry in the gradebook.

    The formgrader then shows it: open JupyterLab in the course's folder, menu Nbgrader, Formgrader.
    For students without nbgrader make the student edition of all labs: hpclab labs release.

    \b
        hpclab release ex01
        hpclab release 01 --exchange
    """
    course = settings.load(folder)
    paths = find_labs(lab)
    check_names(paths)
    if configuration := write_configuration(course):
        click.echo(
            f"{configuration}: nbgrader's settings, with the course's name in the exchange; you may edit them"
        )
    for path in paths:
        done = release_lab(course, path, exchange=exchange)
        click.echo(f"{done.lab}: {done.source.relative_to(folder)}, {done.released.relative_to(folder)}")
        if done.handed_out:
            click.echo(f"{done.lab}: {done.handed_out}")
            if done.needs_templates:
                click.echo(
                    f"{done.lab} uses ../../templates, which the exchange does not carry:"
                    " hand out the student edition, too (hpclab labs release).",
                    err=True,
                )
        if not done.has_deadline:
            click.echo(f"It has no deadline: add [labs.{done.lab}] to {folder / settings.NAME}", err=True)
