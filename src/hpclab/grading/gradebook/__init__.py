"""nbgrader's gradebook of a course, and the folders beside it that the formgrader shows.

    release(course, lab, source) -> paths              source/, release/, and the lab in the database
    changes(course, lab, results) -> list[Change]      what ``write`` would change
    write(course, lab, results, receipts, submitted) -> Written    marks into the database, results beside it
    apply_lateness(course, lab, receipts) -> dict[str, Lateness]   penalties by the present settings
    read_scores(course, lab) -> dict[str, StudentScores]           including everything set by hand
    read_results(course, lab), read_unmarked(course, lab)          results that gave marks, and those that did
    not
    list_labs(course), read_lab(course, result)        the course's labs, and one in the state that was graded

database    one writer at a time, one transaction for all
cells       a lab → nbgrader's assignment, notebook and cells
plan        a result → the marks to write, pure
marks       planned marks → rows of the database; rows → scores
penalties   receipts and settings → penalties for late work
autograded  the notebook that the formgrader shows, pure
folders     the files beside the database
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from hpclab.errors import GradingError
from hpclab.grading import formgrader
from hpclab.grading.gradebook import cells, database, folders, marks, penalties
from hpclab.grading.gradebook.marks import CellScore as CellScore
from hpclab.grading.gradebook.marks import StudentScores as StudentScores
from hpclab.grading.gradebook.plan import find_refusal, plan_marks
from hpclab.grading.lateness import Lateness
from hpclab.grading.model import Lab, Result
from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One test's automatic score before (None: no score) and after. ``by_hand``: a manual score that overrides it."""

    student: str
    test: str
    task: str
    old: float | None
    new: float
    by_hand: float | None = None


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of ``write``: students whose marks were written, and those without a mark, with the reason."""

    marked: tuple[str, ...] = ()
    unmarked: tuple[tuple[str, str], ...] = ()


def release(course: Course, lab: Lab, source: bytes) -> tuple[Path, Path]:
    """Add ``lab`` to the course: its notebooks, and its entry in the database.

    ``source`` is the notebook with answers and hidden tests. Raises GradingError.
    """
    with database.writing(course.folder, formgrader.read_config(course.folder).course) as book:
        cells.register(book, lab, _due(course, lab.name))
        marks.enrol(book, [_enrolment(course, lab.name, student) for student in course.students])
    folders.keep_lab(course.folder, lab)
    return folders.write_lab(course.folder, lab, source)


def changes(course: Course, lab: Lab, results: Iterable[Result]) -> list[Change]:
    """Return what ``write`` would change in automatic scores, by student and in the lab's order. Writes nothing."""
    scores_by_student = read_scores(course, lab.name) if (course.folder / database.NAME).is_file() else {}
    listed = []
    for result in sorted(results, key=lambda result: result.task.student):
        if find_refusal(result, lab):
            continue
        student_scores = scores_by_student.get(result.task.student)
        before = {score.test: score for score in student_scores.tests} if student_scores else {}
        after = plan_marks(result, lab).scores
        for test in lab.tests:
            score = before.get(test.id)
            old = score.auto if score else None
            if old != after[test.id]:
                listed.append(
                    Change(
                        student=result.task.student,
                        test=test.id,
                        task=test.task,
                        old=old,
                        new=after[test.id],
                        by_hand=score.manual if score else None,
                    )
                )
    return listed


def write(
    course: Course,
    lab: Lab,
    results: Sequence[Result],
    receipts: Iterable[Receipt],
    submitted: Callable[[Result], bytes | None] = lambda _: None,
) -> Written:
    """Write the marks of ``results``: all in one transaction, then the files beside the database.

    Repeating it changes nothing, so it can run again after an interruption. A student without a mark in
    ``results`` keeps the present one. ``receipts`` are those of all labs; ``submitted`` returns the notebook as
    it was received, if there is one. Raises GradingError, DeadlineExceeded.
    """
    _refuse_duplicates(results)
    refusals = {result.task.student: find_refusal(result, lab) for result in results}
    accepted = [result for result in results if not refusals[result.task.student]]
    with database.writing(course.folder, formgrader.read_config(course.folder).course) as book:
        notebook = cells.register(book, lab, _due(course, lab.name))
        students = sorted({*course.students, *(result.task.student for result in accepted)})
        enrolments = {student: _enrolment(course, lab.name, student) for student in students}
        marks.enrol(book, enrolments.values())
        submissions = marks.read_submissions(book, notebook)
        for result in accepted:
            plan = plan_marks(result, lab)
            marks.write_marks(book, notebook, submissions, plan, enrolments[plan.student])
        penalties.apply_penalties(course, lab.name, submissions, receipts)
    folders.keep_lab(course.folder, lab)
    for result in accepted:
        folders.write_result(course.folder, lab, result, submitted(result))
    for result in results:
        if refusals[result.task.student]:
            folders.write_unmarked(course.folder, lab, result)
    return Written(
        marked=tuple(result.task.student for result in accepted),
        unmarked=tuple((student, reason) for student, reason in refusals.items() if reason),
    )


def apply_lateness(course: Course, lab: str, receipts: Iterable[Receipt]) -> dict[str, Lateness]:
    """Write penalties for late work by the present settings and marks; returns the lateness of each student."""
    with database.writing(course.folder, formgrader.read_config(course.folder).course) as book:
        notebook = _notebook(book, course, lab)
        return penalties.apply_penalties(course, lab, marks.read_submissions(book, notebook), receipts)


def read_scores(course: Course, lab: str) -> dict[str, StudentScores]:
    """Return the scores of ``lab`` by student. Raises GradingError if there is no gradebook."""
    with database.reading(course.folder, formgrader.read_config(course.folder).course) as book:
        return marks.read_scores(book, lab)


def read_results(course: Course, lab: str) -> dict[str, Result]:
    """Return, by student, the result that the marks in the gradebook came from."""
    return folders.read_results(course.folder, lab)


def read_unmarked(course: Course, lab: str) -> dict[str, Result]:
    """Return, by student, a newer result that gives no mark."""
    return folders.read_unmarked(course.folder, lab)


def list_labs(course: Course) -> list[str]:
    """Return the labs that were released to the course or have deadlines in its settings."""
    return sorted({*folders.list_released(course.folder), *course.labs})


def read_lab(course: Course, result: Result) -> Lab:
    """Return the lab in the state in which ``result`` was graded."""
    return folders.read_lab(course.folder, result.task.lab, result.lab_digest)


def scores_match(result: Result, scores: StudentScores | None, lab: Lab) -> bool:
    """Return whether the gradebook has the scores of ``result``; a writer that was killed may leave others."""
    if scores is None or find_refusal(result, lab):
        return False
    expected = plan_marks(result, lab)
    same_time = scores.received is not None and abs(scores.received - expected.received) < 1e-3
    return same_time and {score.test: score.auto for score in scores.tests} == expected.scores


def _refuse_duplicates(results: Sequence[Result]) -> None:
    names = [result.task.student for result in results]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise GradingError(
            f"two results for {', '.join(twice[:5])} in one batch",
            "Grade again, which selects the version that counts: hpclab grade LAB",
        )


def _notebook(book: Any, course: Course, lab: str) -> Any:
    try:
        return book.find_notebook(lab, lab)
    except ValueError:
        raise GradingError(
            f"{course.folder} has no lab {lab} in its gradebook", f"Release it first: hpclab release {lab}"
        ) from None


def _due(course: Course, lab: str) -> Any:
    due = course.due(lab, "")
    return None if due is None else marks.to_utc(due)


def _enrolment(course: Course, lab: str, student: str) -> marks.Enrolment:
    known = course.students.get(student)
    extension_s = (course.due(lab, student) or 0.0) - (course.due(lab, "") or 0.0)
    return marks.Enrolment(
        id=student,
        name=known.name if known else "",
        email=known.email if known else "",
        lms=known.lms if known else "",
        extension=timedelta(seconds=extension_s) if extension_s > 0 else None,
    )
