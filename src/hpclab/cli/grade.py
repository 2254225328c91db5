"""hpclab grade: the marks of a class for one lab."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab import layout
from hpclab.cli import attempt
from hpclab.cli.classes import class_option
from hpclab.cli.common import console, site_names
from hpclab.cli.grading import results as kept
from hpclab.cli.grading import run, version
from hpclab.cli.grading.jobs import How
from hpclab.cli.grading.lab import lab_of
from hpclab.cli.grading.results import Found, Reporter
from hpclab.cli.grading.show import Progress
from hpclab.cli.labs import complete_lab
from hpclab.cli.run import width
from hpclab.errors import DeadlineExceeded, GradingError, UsageError
from hpclab.exercises import build
from hpclab.grading import gradebook, ipynb, limits, settings
from hpclab.grading.ledger import Ledger
from hpclab.grading.locking import locked
from hpclab.grading.model import Lab, Result, Verdict
from hpclab.grading.settings import Class
from hpclab.grading.store import Receipt, Store

DAY = 24 * 60  # minutes
AT_A_SITE = 10  # tasks at once, where nothing else is said


@click.command()
@click.argument("lab", shell_complete=complete_lab)
@click.option("--students", default="", metavar="A,B,...", help="Only these students.")
@click.option("--again", is_flag=True, help="Also those whose submission has a result already.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="How many tasks at once. By default 2 to 4, by the number of CPUs; 10 at a site.",
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
@class_option
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
    members = settings.load(folder)
    found = lab_of(build.find(lab, layout.course() / "notebooks"))
    only = [one.strip() for one in students.split(",") if one.strip()]
    receipts = wanted(members, Store(folder), found.name, only)
    how = How(
        site=site,
        at_once=jobs or (tasks_here(found) if site == "local" else AT_A_SITE),
        usual=attempt.how_to_run(site, account=account, qos=qos),
        image=image and image.absolute(),
        options=options,
        queued=(queue_minutes or (10 if site == "local" else DAY)) * 60.0,
        slowest=2.0 if site == "local" else 15.0,
    )
    grader = version.grader()
    with alone(folder):
        if not dry_run:
            run.settle(
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
        announce(only or list(members.students), found, receipts, due)
        if dry_run:
            return
        if due:
            with Progress(console, len(due)) as progress:
                have |= run.run(folder, found, due, how, grader, Reporter(progress.say, progress.result))
        finish(members, found, receipts, have, yes=yes)


def tasks_here(lab: Lab) -> int:
    """How many tasks this machine bears at once: by its CPUs, and by its memory."""
    needs = limits.needs(lab, limits.limits(lab), 1)
    room = psutil.virtual_memory().total // (needs.memory_mb << 20)
    return max(1, min(attempt.default_jobs(), room))


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


def wanted(members: Class, store: Store, lab: str, students: Sequence[str]) -> dict[str, Receipt]:
    """The version of each student that is graded: the last one that came before the lab closed. Raises UsageError."""
    for student in students:
        members.student(student)
    chosen = set(students) or set(members.students)
    found: dict[str, Receipt] = {}
    for one in sorted(store.receipts(lab), key=lambda one: (one.received, one.number)):
        closes = members.closes(lab, one.student)
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


def finish(
    members: Class, lab: Lab, receipts: Mapping[str, Receipt], have: Mapping[str, Found], *, yes: bool
) -> None:
    """Show what the marks change, and write them where that is wanted. Raises GradingError where marks are missing."""
    results = [found.result for _, found in sorted(have.items())]
    changes = gradebook.changes(members, lab, results)
    show(changes, results)
    if yes or not changes or click.confirm(f"Write the marks of {len(results)} submissions?", default=False):
        store = Store(members.folder)
        written = gradebook.write(
            members, lab, results, store.receipts(), lambda result: _notebook(store, lab, result)
        )
        record(members, have)
        for student, reason in written.unmarked:
            if have[student].result.verdict is Verdict.SYSTEM_ERROR:
                continue  # told below, as what went wrong
            console.print(f"{student} has no mark: {reason}", markup=False, soft_wrap=True)
        click.echo(f"Written to {members.folder / 'gradebook.db'}. Feedback: hpclab feedback {lab.name}")
    else:
        click.echo("Nothing is written. The results are kept: the same command shows them again.")
    failed = [one for one in results if one.verdict is Verdict.SYSTEM_ERROR]
    if failed:
        raise GradingError(
            f"{len(failed)} of {len(results)} submissions have no mark, for reasons of ours:\n"
            + "\n".join(f"    {one.task.student}: {one.problem.splitlines()[0]}" for one in failed),
            f"What failed stands in their results, {have[failed[0].task.student].path.parent};"
            f" when it is mended: hpclab grade {lab.name}",
        )


def _notebook(store: Store, lab: Lab, result: Result) -> bytes | None:
    """The notebook as it was received, where it is one that a person can look at."""
    try:
        return store.read(result.task.hash, f"{lab.name}.ipynb", ipynb.MOST_BYTES)
    except GradingError:
        return None


def record(members: Class, have: Mapping[str, Found]) -> None:
    """Note in the ledger what was graded, once for each result."""
    ledger = Ledger(members.folder)
    known = {(one["uuid"], one["student"], one["number"]) for one in ledger.records("graded")}
    for student, found in sorted(have.items()):
        one = found.result
        if one.verdict is Verdict.SYSTEM_ERROR or (one.task.uuid, student, one.task.number) in known:
            continue
        ledger.append(
            "graded",
            lab=one.task.lab,
            student=student,
            number=one.task.number,
            hash=one.task.hash,
            uuid=one.task.uuid,
            seed=one.task.seed,
            lab_digest=one.lab_digest,
            grader=one.grader,
            image=one.image,
            verdict=str(one.verdict),
            earned=one.earned,
            points=one.points,
            result=str(found.path.relative_to(members.folder)),
            result_hash=hashlib.sha256(found.path.read_bytes()).hexdigest(),
        )


def show(changes: Sequence[gradebook.Change], results: Sequence[Result]) -> None:
    """The verdicts, and what the gradebook would have instead of what it has."""
    out = Console(highlight=False, width=width())
    told: dict[str, list[str]] = {}
    for one in changes:
        old = "" if one.old is None else f"{one.old:g} → "
        by_hand = f" (by hand: {one.by_hand:g}, stays)" if one.by_hand is not None else ""
        told.setdefault(one.student, []).append(f"{one.test} {old}{one.new:g}{by_hand}")
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for column in ("student", "version", "verdict", "points", "what changes in the gradebook"):
        table.add_column(column, overflow="fold")
    for result in results:
        student = result.task.student
        points = "" if result.verdict is Verdict.SYSTEM_ERROR else f"{result.earned:g} of {result.points:g}"
        words = ", ".join(told.get(student, [])) or ("no mark" if not points else "nothing")
        table.add_row(Text(student), str(result.task.number), str(result.verdict), points, Text(words))
    out.print(table)
