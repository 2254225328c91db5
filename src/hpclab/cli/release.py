"""hpclab release: hand labs out to a class that works with nbgrader."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from hpclab import layout
from hpclab.app.grading.lab_model import lab_of
from hpclab.cli.course import course_option
from hpclab.cli.labs import chosen_labs, complete_lab
from hpclab.errors import UsageError
from hpclab.exercises import build, source, views
from hpclab.files import write_whole
from hpclab.grading import formgrader, gradebook, settings
from hpclab.grading.model import Lab
from hpclab.grading.settings import Course
from hpclab.grading.submissions import student_ids


@click.command()
@click.argument("lab", nargs=-1, required=True, shell_complete=complete_lab)
@click.option(
    "--exchange",
    is_flag=True,
    help="Also lay each LAB into nbgrader's exchange, where learners run `nbgrader fetch_assignment LAB`.",
)
@course_option
def release(lab: Sequence[str], exchange: bool, folder: Path) -> None:
    """Give LAB to a class: its notebooks under source and release, and its entry in the gradebook.

    From then on the formgrader knows it: open JupyterLab in the class's folder, menu Nbgrader, Formgrader.
    For learners without nbgrader make the learners' edition of the whole course: hpclab labs release.

    \b
        hpclab release ex01
        hpclab release 01 --exchange
    """
    course = settings.load(folder)
    paths = chosen_labs(lab)
    for path in paths:
        alone(path)
    configure(course)
    for path in paths:
        known = lab_of(path)
        notebook = build.serialize(views.grader_view(source.load(path)))
        first, second = gradebook.release(course, known, notebook)
        click.echo(f"{known.name}: {first.relative_to(folder)}, {second.relative_to(folder)}")
        if exchange:
            click.echo(f"{known.name}: {formgrader.hand_out(folder, known.name)}")
            for remark in remarks(known):
                click.echo(remark, err=True)
        if known.name not in course.labs:
            click.echo(f"It has no deadline: add [labs.{known.name}] to {folder / settings.NAME}", err=True)


def configure(course: Course) -> None:
    """Give the class nbgrader's configuration, once; from then on it is the instructor's."""
    path = course.folder / formgrader.CONFIG
    if not path.exists():
        template = (layout.clone_folder() / "autograder" / formgrader.CONFIG).read_text(encoding="utf-8")
        write_whole(path, formgrader.config(template, course.title).encode())
        click.echo(
            f"{path}: nbgrader's settings, with the course's name in the exchange; they are yours to change"
        )


def alone(path: Path) -> None:
    """Refuse a lab whose name nbgrader could not tell from another's: it knows no modules. Raises UsageError."""
    student_ids.check_id(path.stem, what="lab")
    others = [
        one
        for one in build.list_sources(layout.clone_folder() / "notebooks")
        if one.stem == path.stem and one != path
    ]
    if others:
        named = " and ".join(f"{one.parent.name}/{one.stem}" for one in (path, *others))
        raise UsageError(
            f"{named} have one name, and nbgrader would take them for one lab", "Rename one of them."
        )


def remarks(lab: Lab) -> list[str]:
    """What a learner who has only the exchange would miss."""
    if re.search(r"\.\./\.\./templates/", lab.notebook):
        return [
            f"{lab.name} uses ../../templates, which the exchange does not carry: hand out the learners' edition too"
            " (hpclab labs release)."
        ]
    return []
