"""Feedback for students: a page and a text each, in the course's folder, the exchange and the ledger."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hpclab import plots
from hpclab.app.course.labs import read_marks
from hpclab.errors import GradingError
from hpclab.files import write_whole
from hpclab.grading import formgrader, gradebook
from hpclab.grading.model import JobSeen, Result
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.reports import exchange as feedback_exchange
from hpclab.grading.reports import feedback_text, pages
from hpclab.grading.reports.feedback_model import FeedbackPage, build_feedback
from hpclab.grading.reports.overview import LabMarks
from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt, Store
from hpclab.slurm import Job


class PublishedPage(msgspec.Struct, frozen=True, kw_only=True):
    """One student's page. ``new``: it differs from the one published before."""

    student: str
    path: Path
    new: bool
    handed_out: bool  # through the exchange


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """The pages written, students whose submission has no mark, and students without any result."""

    pages: tuple[PublishedPage, ...]
    without_mark: tuple[str, ...]
    without_result: tuple[str, ...]


def publish_feedback(
    course: Course, lab: str, students: Sequence[str] = (), *, book: str = "", exchange: bool = False
) -> Publication:
    """Write feedback on ``lab`` for ``students``, or for all. Raises GradingError, UsageError.

    ``book`` is the address of the course's book; ``exchange`` also hands the pages out through nbgrader's exchange.
    """
    for student in students:
        course.student(student)
    marks = read_marks(course, lab)
    wanted = [student for student in marks.results if not students or student in students]
    receipts = {(receipt.student, receipt.number): receipt for receipt in Store(course.folder).receipts(lab)}
    records = {
        str(record["student"]): record for record in Ledger(course.folder).records("published", lab=lab)
    }
    published = []
    for student in wanted:
        page = _build_page(course, marks, marks.results[student], book)
        receipt = receipts.get((student, page.receipt))
        published.append(_publish(course, page, receipt if exchange else None, records.get(student, {})))
    without_mark = [
        student
        for student in marks.unmarked
        if student not in marks.results and (not students or student in students)
    ]
    known = {*marks.results, *without_mark}
    return Publication(
        pages=tuple(published),
        without_mark=tuple(without_mark),
        without_result=tuple(student for student in students if student not in known),
    )


def write_feedback(course: Course, page: FeedbackPage) -> Path:
    """Write the page and the text to feedback/STUDENT/LAB, where nbgrader looks; the page's path."""
    path = course.folder / "feedback" / page.student / page.lab / f"{page.lab}.html"
    write_whole(path.with_suffix(".txt"), feedback_text.render_text(page))
    write_whole(path, pages.render_feedback(page))
    return path


def draw_timeline(jobs: Sequence[JobSeen]) -> tuple[bytes, str]:
    """The timeline of a student's jobs as a PNG, and the same in words."""
    records = [
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
    return plots.timeline(records).png(), plots.describe_timeline(records)


def _build_page(course: Course, marks: LabMarks, result: Result, book: str) -> FeedbackPage:
    student = result.task.student
    scores, lab = marks.scores.get(student), gradebook.read_lab(course, result)
    if scores is None or not gradebook.scores_match(result, scores, lab):
        raise GradingError(
            f"the gradebook's scores of {student} are not those of the last result: writing them was interrupted",
            f"Write them again: hpclab grade {marks.lab}",
        )
    return build_feedback(
        course,
        lab,
        result,
        scores,
        marks.lateness.get(student),
        now=time.time(),
        book=book,
        draw_timeline=draw_timeline,
    )


def _publish(
    course: Course, page: FeedbackPage, receipt: Receipt | None, last_record: Mapping[str, Any]
) -> PublishedPage:
    """Write the page, hand it out if its receipt is given and came through the exchange, and record it."""
    path = write_feedback(course, page)
    nbgrader = formgrader.read_config(course.folder)
    name = feedback_exchange.file_name(nbgrader, receipt) if receipt else None
    if name is not None:
        feedback_exchange.hand_out(nbgrader, name, path.read_bytes())
    fields = {
        "number": page.receipt,
        "hash": page.hash,
        "score": round(page.final, 6),
        "points": page.points,
        "by_hand": page.by_hand,
        "page": hashlib.sha256(path.read_bytes()).hexdigest(),
        "exchange": name is not None,
    }
    new = any(last_record.get(key) != value for key, value in fields.items())
    if new:
        Ledger(course.folder).append("published", lab=page.lab, student=page.student, **fields)
    return PublishedPage(student=page.student, path=path, new=new, handed_out=name is not None)
