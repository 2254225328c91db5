"""hpclab course: begin a class, see what its settings say, print receipts. And which folder commands mean."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab import layout
from hpclab.app.labs import labs_of_clone, with_modules
from hpclab.errors import UsageError
from hpclab.exercises.lab_names import LabName, complete_lab_names, select_lab
from hpclab.grading import settings, settings_file
from hpclab.grading.settings import Course
from hpclab.grading.submissions import receipt_text, student_ids
from hpclab.grading.submissions.store import Store


def course_folder(chosen: Path | None = None) -> Path:
    """The folder of the class: ``--course``, or ``HPCLAB_COURSE``, or ``course`` in the clone."""
    from_environment = os.environ.get("HPCLAB_COURSE")
    return (
        chosen or (Path(from_environment) if from_environment else layout.clone_folder() / "course")
    ).absolute()


def course_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--course``: which class. The command gets ``folder``, made absolute."""
    return click.option(
        "--course",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        callback=lambda _ctx, _param, value: course_folder(value),
        help="The folder of the class. By default HPCLAB_COURSE, or `course` in the clone.",
    )(function)


def labs_of_course(course: Course) -> list[LabName]:
    """The labs in the settings of the class; without any, those of the clone."""
    return with_modules(course.labs) or [*labs_of_clone()]


def complete_lab_of_course(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    course = settings.load(course_folder(ctx.params.get("folder")))
    return complete_lab_names(incomplete, labs_of_course(course))


def lab_called(course: Course, text: str) -> str:
    """The lab of the class that ``text`` means. Raises UsageError that lists the valid names."""
    hint = f"More go into {course.folder / settings.NAME} as [labs.NAME]."
    return select_lab(text, labs_of_course(course), hint).name


@click.group()
def course() -> None:
    """Begin a class, see what its settings say, print receipts."""


@course.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--title", default="HPC Lab", show_default=True, help="What the class is called.")
@click.option(
    "--zone",
    help="The time zone of its deadlines, such as Europe/Berlin. By default this machine's.",
)
def new(folder: Path | None, title: str, zone: str | None) -> None:
    """Begin a class in FOLDER: settings.toml with comments, for you to fill in."""
    path = settings_file.begin(course_folder(folder), title=title, zone=zone or _zone_here())
    click.echo(f"{path}\nFill in its labs and students, then look at what it says: hpclab course show")


@course.command()
@course_option
def show(folder: Path) -> None:
    """Check the settings of a class and show them: deadlines, extensions, people."""
    course = settings.load(folder)
    out = Console(highlight=False)
    out.print(f"{course.title}: {len(course.students)} students, times in {course.zone.key}", markup=False)
    out.print(f"late: {_late(course)}", markup=False)
    table = _table("lab", "opens", "due", "closes")
    for lab in course.labs:
        times = (course.opens(lab), course.due(lab, ""), course.closes(lab, ""))
        table.add_row(lab, *(course.shown(when) if when is not None else "-" for when in times))
    if course.labs:
        out.print(table)
    if course.extensions:
        table = _table("extension for", "lab", "until", "reason")
        for one in course.extensions:
            until = settings.moment(one.until, course.zone)
            table.add_row(Text(one.student), Text(one.lab), course.shown(until), Text(one.reason))
        out.print(table)


@course.command()
@click.argument("lab", shell_complete=complete_lab_of_course)
@click.argument("student")
@click.option("--number", type=int, help="Which version; by default all.")
@course_option
def receipt(lab: str, student: str, number: int | None, folder: Path) -> None:
    """Print the receipts of STUDENT for LAB, each checked against what is kept."""
    course = settings.load(folder)
    lab = lab_called(course, lab)
    student_ids.check_id(student)
    store = Store(folder)
    given = [one for one in store.receipts(lab, student) if number in (None, one.number)]
    if not given:
        wanted = f"no receipt {number}" if number else "no receipt"
        raise UsageError(f"{student} has {wanted} for {lab}", "Collect first: hpclab collect LAB SOURCE")
    for one in given:
        store.files(one.hash)
        click.echo(receipt_text.text(one, course))


def _late(course: Course) -> str:
    late = course.late
    parts = ["costs nothing until the lab closes"]
    if late.policy == "percent":
        parts = [f"{late.percent_per_day:g} % for each day begun, at most {late.most_percent:g} %"]
        parts += [f"{late.free_days} free days for each student"] if late.free_days else []
    parts += [f"{late.grace_minutes} minutes of grace"] if late.grace_minutes else []
    return ", ".join(parts)


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _zone_here() -> str:
    """The IANA name of this machine's zone, where the system says one."""
    chosen = os.environ.get("TZ", "").removeprefix(":")
    if not chosen:
        target = Path("/etc/localtime").resolve().as_posix()
        chosen = target.partition("/zoneinfo/")[2]
    try:
        return settings.zone_called(chosen or "UTC").key
    except UsageError:
        return "UTC"


def when_in(course: Course, text: str) -> float:
    """A time that somebody typed, in the class's zone. Raises UsageError."""
    try:
        return settings.moment(datetime.datetime.fromisoformat(text), course.zone)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a time", "Write it as 2026-10-14T23:59:59, or with an offset: …+02:00"
        ) from None
