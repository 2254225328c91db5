"""hpclab grade: the marks of a class for one lab."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console

from hpclab.app import lab_run
from hpclab.app.clusters import site_names
from hpclab.app.grading import class_run, results, selection, version
from hpclab.app.grading.lab_model import lab_of
from hpclab.app.grading.results import Reporter
from hpclab.app.grading.rounds import GradingOptions
from hpclab.app.labs import find_lab
from hpclab.cli.common import complete_lab, console
from hpclab.cli.course import course_option
from hpclab.cli.grading_progress import Progress
from hpclab.grading import settings
from hpclab.grading.model import Lab
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

    Of each student the last version before the lab closed counts. Submissions that this very grader has
    graded are not graded again. A command that was stopped goes on where it was. The marks are shown before
    they are written.
    """
    course = settings.load(folder)
    known = lab_of(find_lab(lab))
    only = [student.strip() for student in students.split(",") if student.strip()]
    receipts = selection.versions(course, Store(folder), known.name, only)
    how = GradingOptions(
        site=site,
        at_once=jobs or (selection.tasks_here(known) if site == "local" else AT_A_SITE),
        usual=lab_run.load_run_settings(site, account=account, qos=qos),
        image=image and image.absolute(),
        options=options,
        queued=(queue_minutes or (10 if site == "local" else DAY)) * 60.0,
        slowest=2.0 if site == "local" else 15.0,
    )
    parts = version.parts()
    with selection.alone(folder):
        if not dry_run:
            say = Reporter(say=lambda text: console.print(text, markup=False, soft_wrap=True))
            class_run.recover(folder, known, how, say)
        earlier = {} if again else results.earlier(folder, known, version.grader(parts))
        kept = {
            student: results.adopt(folder, earlier[student, receipt.hash], receipt)
            for student, receipt in receipts.items()
            if (student, receipt.hash) in earlier
        }
        due = {student: receipt for student, receipt in receipts.items() if student not in kept}
        announce(only or list(course.students), known, receipts, due)
        if dry_run:
            return
        if due:
            threading.Thread(target=ahead).start()
            with Progress(console, len(due)) as progress:
                kept |= class_run.run(folder, known, due, how, parts, Reporter(progress.say, progress.result))
        from hpclab.cli import grading_marks  # not above: see ``ahead``

        grading_marks.finish(course, known, kept, yes=yes)


def ahead() -> None:
    """Import what the end needs, nbgrader and its database, while the workers start: it takes a second."""
    with contextlib.suppress(Exception):  # the import that needs it raises
        importlib.import_module("hpclab.cli.grading_marks")


def announce(
    chosen: Sequence[str], lab: Lab, receipts: Mapping[str, Receipt], due: Mapping[str, Receipt]
) -> None:
    """Say who of these students is to be graded."""
    out = Console(highlight=False)
    out.print(f"{lab.name}: {len(receipts)} handed in, {len(due)} to grade.", markup=False)
    if missing := [student for student in chosen if student not in receipts]:
        out.print(f"Nothing from: {', '.join(missing)}.", markup=False)
