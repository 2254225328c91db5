"""hpclab feedback: a page for each learner, laid into the class's folder and, if asked, handed out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from hpclab.cli.course import course_option
from hpclab.cli.course_labs import Marked, complete_lab, complete_student, lab_named, marked
from hpclab.errors import GradingError, UsageError
from hpclab.grading import formgrader, gradebook, settings
from hpclab.grading.model import JobSeen, Result
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.reports import exchange as handing
from hpclab.grading.reports import feedback as pages
from hpclab.grading.reports.feedback_model import Told, told
from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt, Store
from hpclab.slurm import Job


@click.command()
@click.argument("lab", shell_complete=complete_lab)
@click.option(
    "--student",
    "students",
    multiple=True,
    shell_complete=complete_student,
    help="Only this one; may be repeated.",
)
@click.option("--exchange", is_flag=True, help="Also hand the pages out through nbgrader's exchange.")
@click.option(
    "--book",
    envvar="HPCLAB_BOOK",
    default="",
    metavar="ADDRESS",
    help="Where the course's book is on the web: then each task links to its section. By default HPCLAB_BOOK.",
)
@course_option
def feedback(lab: str, students: Sequence[str], exchange: bool, book: str, folder: Path) -> None:
    """Write for each student what was found in LAB, what was expected, and what to do next.

    One page and one text a student, in the class's folder under feedback/STUDENT/LAB. What a person
    set or wrote in the formgrader is in it. Nothing of a hidden check is.

    \b
        hpclab feedback ex01
        hpclab feedback ex01 --student ada --student bob
        hpclab feedback ex01 --exchange       then learners run: nbgrader fetch_feedback
    """
    if book and not book.startswith(("https://", "http://")):
        raise UsageError(f"--book {book} is no address", "Give one that begins with https://")
    course = settings.load(folder)
    name = lab_named(course, lab)
    for student in students:
        course.student(student)
    there = marked(course, name)
    chosen = [student for student in there.results if not students or student in students]
    receipts = {(one.student, one.number): one for one in Store(folder).receipts(name)}
    published = last_published(folder, name)
    written = [
        _one(course, there, there.results[student], receipts, published, book, exchange) for student in chosen
    ]
    _tell(course, there, written, students, exchange)


def timeline(jobs: Sequence[JobSeen]) -> tuple[bytes, str]:
    """The picture of a learner's jobs, and the same in words."""
    from hpclab import plots

    seen = [
        Job(
            id=job.id,
            raw_id=job.id,
            name=job.name,
            state=job.state,
            exit_code=job.exit_code,
            nodes=job.nodes,
            submit=job.submit,
            start=job.start,
            end=job.end,
            elapsed=round(job.end - job.start) if job.end is not None and job.start is not None else None,
        )
        for job in jobs
    ]
    return plots.timeline(seen).png(), plots.describe_timeline(seen)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one page."""

    student: str
    path: Path
    new: bool
    handed_out: bool
    way: bool  # there is a way to hand it out


def last_published(folder: Path, lab: str) -> dict[str, dict[str, Any]]:
    """By student, what the ledger says of the page that was published last."""
    return {str(record["student"]): record for record in Ledger(folder).records("published", lab=lab)}


def _one(
    course: Course,
    there: Marked,
    result: Result,
    receipts: Mapping[tuple[str, int], Receipt],
    published: Mapping[str, dict[str, Any]],
    book: str,
    exchange: bool,
) -> Written:
    student = result.task.student
    mine, known = there.standings.get(student), gradebook.lab_of(course, result)
    if mine is None or not gradebook.fits(result, mine, known):
        raise GradingError(
            f"the marks of {student} in the gradebook are not those of the last result: writing them was cut off",
            f"Write them again: hpclab grade {there.lab}",
        )
    all_of_it = told(
        course,
        known,
        result,
        mine,
        there.lateness.get(student),
        now=time.time(),
        book=book,
        timeline=timeline,
    )
    path = pages.write(course, all_of_it)
    nbgrader = formgrader.read(course.folder)
    receipt = receipts.get((student, result.task.number))
    name = handing.file_name(nbgrader, receipt) if exchange and receipt else None
    handed_out = name is not None and bool(handing.put(nbgrader, name, path.read_bytes()))
    new = _note(course, all_of_it, path, handed_out, published.get(student, {}))
    return Written(student=student, path=path, new=new, handed_out=handed_out, way=name is not None)


def _note(course: Course, told: Told, path: Path, handed_out: bool, before: Mapping[str, Any]) -> bool:
    """Write into the ledger what was published; false where that is what it says already."""
    fields = {
        "number": told.receipt,
        "hash": told.hash,
        "score": round(told.final, 6),
        "points": told.points,
        "by_hand": told.by_hand,
        "page": hashlib.sha256(path.read_bytes()).hexdigest(),
        "exchange": handed_out,
    }
    if all(before.get(key) == value for key, value in fields.items()):
        return False
    Ledger(course.folder).append("published", lab=told.lab, student=told.student, **fields)
    return True


def _tell(
    course: Course, there: Marked, written: Sequence[Written], students: Sequence[str], exchange: bool
) -> None:
    for one in written:
        out = ", handed out" if one.handed_out else ""
        click.echo(
            f"{one.student}: {one.path.relative_to(course.folder)}{'' if one.new else ' (as before)'}{out}"
        )
    if exchange and (stay := [one.student for one in written if not one.way]):
        click.echo(
            f"Not handed in through the exchange, so hand these out yourself: {', '.join(stay)}", err=True
        )
    waiting = [student for student in there.unmarked if student not in there.results]
    if waiting := [student for student in waiting if not students or student in students]:
        click.echo(f"Without a mark, so without a page: {', '.join(waiting)}", err=True)
    if missing := [
        student for student in students if student not in there.results and student not in waiting
    ]:
        raise UsageError(
            f"there is no mark for {', '.join(missing)} in {there.lab}",
            f"Grade it first: hpclab grade {there.lab}",
        )
