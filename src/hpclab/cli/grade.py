"""hpclab grade: the marks of a class for one lab."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import psutil
from rich.console import Console

from hpclab import layout
from hpclab.app import lab_run
from hpclab.app.clusters import site_names
from hpclab.app.grading import class_run, version
from hpclab.app.grading import results as kept
from hpclab.app.grading.array_rounds import How
from hpclab.app.grading.lab_model import lab_of
from hpclab.app.grading.results import Reporter
from hpclab.cli.common import console
from hpclab.cli.course import course_option
from hpclab.cli.grading_progress import Progress
from hpclab.cli.labs import complete_lab
from hpclab.errors import DeadlineExceeded, GradingError, UsageError
from hpclab.exercises import build
from hpclab.grading import settings
from hpclab.grading.execute import limits
from hpclab.grading.locking import locked
from hpclab.grading.model import Lab
from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt, Store

DAY = 24 * 60  # minutes
AT_A_SITE = 10  # tasks at once, where nothing else is said


@click.command()
@click.argument("lab", shell_complete=complete_lab)
@click.option("--students", default="", metavar="A,B,...", help="Only these students.")
@click.option("--again", is_flag=True, help="Also those whose submission has a result already.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="How many tasks at once. By default by CPUs and memory; 10 at a site.",
)
@click.option(
    "--site",
    default="local",
    show_default=True,
    type=click.Choice(site_names()),
    help="Where: `local` is this machine; another one is the site whose login node this is.",
)
@click.option("--account", default="", help="The account that the jobs are charged to.")
@click.option("--qos", default="", help="The QOS of the jobs. By default the site profile's.")
@click.option("--sbatch", "options", multiple=True, metavar="OPTION", help="One more option for the jobs.")
@click.option(
    "--image",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Run the tasks in this Apptainer image (containers/grader.def) instead of this Python.",
)
@click.option(
    "--queue-minutes",
    type=click.IntRange(1),
    help="How long the jobs may wait for their start. By default 10, at a site a day.",
)
@click.option("--yes", is_flag=True, help="Write the marks without asking.")
@click.option("--dry-run", is_flag=True, help="Say who would be graded, and stop.")
@course_option
def grade(
    lab: str,
    students: str,
    again: bool,
    jobs: int | None,
    site: str,
    account: str,
    qos: str,
    options: Sequence[str],
    image: Path | None,
    queue_minutes: int | None,
    yes: bool,
    dry_run: bool,
    folder: Path,
) -> None:
    """Grade what the class handed in for LAB, each submission in a sandbox of its own.

    Of each student the version counts that was received last. Submissions that this very grader has graded are not graded again.
    A command that was stopped goes on where it was. The marks are shown before they are written.
    """
    course = settings.load(folder)
    found = lab_of(build.find(lab, layout.clone_folder() / "notebooks"))
    only = [one.strip() for one in students.split(",") if one.strip()]
    receipts = wanted(course, Store(folder), found.name, only)
    how = How(
        site=site,
        at_once=jobs or (tasks_here(found) if site == "local" else AT_A_SITE),
        usual=lab_run.how_to_run(site, account=account, qos=qos),
        image=image and image.absolute(),
        options=options,
        queued=(queue_minutes or (10 if site == "local" else DAY)) * 60.0,
        slowest=2.0 if site == "local" else 15.0,
    )
    grader = version.grader()
    with alone(folder):
        if not dry_run:
            class_run.settle(
                folder,
                found,
                how,
                Reporter(say=lambda text: console.print(text, markup=False, soft_wrap=True)),
            )
        known = {} if again else kept.earlier(folder, found, grader)
        have = {
            student: kept.adopted(folder, known[student, one.hash], one)
            for student, one in receipts.items()
            if (student, one.hash) in known
        }
        due = {student: one for student, one in receipts.items() if student not in have}
        announce(only or list(course.students), found, receipts, due)
        if dry_run:
            return
        if due:
            threading.Thread(target=ahead).start()
            with Progress(console, len(due)) as progress:
                have |= class_run.run(
                    folder, found, due, how, grader, Reporter(progress.say, progress.result)
                )
        from hpclab.cli import grading_marks  # not above: see ``ahead``

        grading_marks.finish(course, found, have, yes=yes)


def ahead() -> None:
    """Import what the end needs, nbgrader and its database, while the machines start: it takes a second."""
    with contextlib.suppress(Exception):  # it is said when it is needed
        importlib.import_module("hpclab.cli.grading_marks")


def tasks_here(lab: Lab) -> int:
    """How many tasks this machine bears at once: by its CPUs, and by its memory."""
    needs = limits.needs(lab, limits.limits(lab), 1)
    room = psutil.virtual_memory().total // (needs.memory_mib << 20)
    # Who waits for jobs of a cluster leaves the CPU to others; plain Python does not.
    most = lab_run.default_jobs() if lab.nodes else min(8, len(os.sched_getaffinity(0)))
    return max(1, min(most, room))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One grading of a class at a time. Raises GradingError while another one goes on."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".grading.lock", seconds=0))
        except DeadlineExceeded:
            raise GradingError(
                f"another `hpclab grade` is at work on {folder}",
                f"Wait until it is over; this shows which process it is: fuser -v {folder}/.grading.lock",
            ) from None
        yield


def wanted(course: Course, store: Store, lab: str, students: Sequence[str]) -> dict[str, Receipt]:
    """The version of each student that is graded: the last one that came before the lab closed. Raises UsageError."""
    for student in students:
        course.student(student)
    chosen = set(students) or set(course.students)
    found: dict[str, Receipt] = {}
    for one in sorted(store.receipts(lab), key=lambda one: (one.received, one.number)):
        closes = course.closes(lab, one.student)
        if one.student in chosen and (closes is None or one.received <= closes):
            found[one.student] = one
    if not found:
        raise UsageError(
            f"nothing was handed in for {lab}" + (f" by {', '.join(sorted(chosen))}" if students else ""),
            f"Take it first: hpclab collect {lab} SOURCE",
        )
    if missing := sorted(set(students) - set(found)):
        raise UsageError(f"nothing was handed in for {lab} by {', '.join(missing)}", "Leave them out.")
    return dict(sorted(found.items()))


def announce(
    chosen: Sequence[str], lab: Lab, receipts: Mapping[str, Receipt], due: Mapping[str, Receipt]
) -> None:
    """Who of these students is to be graded."""
    out = Console(highlight=False)
    out.print(f"{lab.name}: {len(receipts)} handed in, {len(due)} to grade.", markup=False)
    if nothing := [student for student in chosen if student not in receipts]:
        out.print(f"Nothing from: {', '.join(nothing)}.", markup=False)
