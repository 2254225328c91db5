"""hpclab course: begin a course, show its settings, print receipts. And what other commands on a course share."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab import layout
from hpclab.app.course.labs import find_lab, list_labs
from hpclab.errors import HpclabError, UsageError
from hpclab.exercises.lab_names import complete_lab_names
from hpclab.grading import settings, settings_file
from hpclab.grading.settings import Course
from hpclab.grading.submissions import receipt_text, student_ids
from hpclab.grading.submissions.store import Store


def course_folder(folder: Path | None = None) -> Path:
    """The course's folder: ``--course``, or ``HPCLAB_COURSE``, or ``course`` in the clone."""
    from_environment = os.environ.get("HPCLAB_COURSE")
    return (
        folder or (Path(from_environment) if from_environment else layout.clone_folder() / "course")
    ).absolute()


def course_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--course``: which course. The command gets ``folder``, an absolute path."""
    return click.option(
        "--course",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        callback=lambda _ctx, _param, value: course_folder(value),
        help="The course's folder. By default HPCLAB_COURSE, or `course` in the clone.",
    )(function)


def complete_lab(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Labs of the course."""
    course = _load_for_completion(ctx)
    names = complete_lab_names(incomplete, list_labs(course)) if course else []
    return [CompletionItem(name) for name in names]


def complete_student(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Students of the course, with their names in shells that show them."""
    course = _load_for_completion(ctx)
    students = course.students.values() if course else []
    return [
        CompletionItem(student.id, help=student.name)
        for student in students
        if student.id.startswith(incomplete)
    ]


def _load_for_completion(ctx: click.Context) -> Course | None:
    folder = ctx.params.get("folder")
    try:
        return settings.load(course_folder(Path(folder) if folder else None))
    except HpclabError:  # completion prints no errors
        return None


@click.group()
def course() -> None:
    """Begin a course, show its settings, print receipts."""


@course.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--title", default="HPC Lab", show_default=True, help="The title of the course.")
@click.option(
    "--zone",
    help="The time zone of its deadlines, such as Europe/Berlin. By default this machine's.",
)
def new(folder: Path | None, title: str, zone: str | None) -> None:
    """Begin a course in FOLDER: a commented settings.toml for you to fill in."""
    path = settings_file.begin(course_folder(folder), title=title, zone=zone or _local_zone())
    click.echo(f"{path}\nFill in its labs and students, then check it: hpclab course show")


@course.command()
@course_option
def show(folder: Path) -> None:
    """Check a course's settings and show them: deadlines, extensions, students."""
    course = settings.load(folder)
    out = Console(highlight=False)
    out.print(f"{course.title}: {len(course.students)} students, times in {course.zone.key}", markup=False)
    out.print(f"late: {_describe_late_policy(course)}", markup=False)
    table = make_table("lab", "opens", "due", "closes")
    for lab in course.labs:
        times = (course.opens(lab), course.due(lab, ""), course.closes(lab, ""))
        table.add_row(lab, *(course.format_time(when) if when is not None else "-" for when in times))
    if course.labs:
        out.print(table)
    if course.extensions:
        table = make_table("extension for", "lab", "until", "reason")
        for extension in course.extensions:
            until = course.format_time(settings.to_epoch(extension.until, course.zone))
            table.add_row(Text(extension.student), Text(extension.lab), until, Text(extension.reason))
        out.print(table)


@course.command()
@click.argument("lab", shell_complete=complete_lab)
@click.argument("student", shell_complete=complete_student)
@click.option("--number", type=int, help="Which version; by default all.")
@course_option
def receipt(lab: str, student: str, number: int | None, folder: Path) -> None:
    """Print the receipts of STUDENT for LAB, after checking the stored files of each."""
    course = settings.load(folder)
    lab = find_lab(course, lab)
    student_ids.check_id(student)
    store = Store(folder)
    receipts = [given for given in store.receipts(lab, student) if number in (None, given.number)]
    if not receipts:
        wanted = f"no receipt {number}" if number else "no receipt"
        raise UsageError(f"{student} has {wanted} for {lab}", "Collect first: hpclab collect LAB SOURCE")
    for given in receipts:
        store.files(given.hash)
        click.echo(receipt_text.text(given, course))


def _describe_late_policy(course: Course) -> str:
    late = course.late
    parts = ["no penalty until the lab closes"]
    if late.policy == "percent":
        parts = [f"{late.percent_per_day:g} % for each day begun, at most {late.most_percent:g} %"]
        parts += [f"{late.free_days} free days for each student"] if late.free_days else []
    parts += [f"{late.grace_minutes} minutes of grace"] if late.grace_minutes else []
    return ", ".join(parts)


def make_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table with these columns; those in ``right`` are aligned to the right."""
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left")
    return table


def _local_zone() -> str:
    """The IANA name of this machine's time zone, or UTC if it has none."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name:
        name = Path("/etc/localtime").resolve().as_posix().partition("/zoneinfo/")[2]
    try:
        return settings.find_zone(name or "UTC").key
    except UsageError:
        return "UTC"


def parse_time(course: Course, text: str) -> float:
    """A time on the command line, in the course's zone → seconds since the epoch. Raises UsageError."""
    try:
        return settings.to_epoch(datetime.datetime.fromisoformat(text), course.zone)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a time", "Write it as 2026-10-14T23:59:59, or with an offset: …+02:00"
        ) from None
