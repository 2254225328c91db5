"""nbgrader's gradebook of a class: its only reader and writer, so that the formgrader and all else of nbgrader work.

    release(course, lab, source) -> paths              source/, release/, and the lab in the database
    changes(course, lab, results) -> list[Change]      what ``write`` would change, before it does
    write(course, lab, results, receipts, submitted) -> Written    marks into the database, results beside it
    settle(course, lab, receipts) -> dict[str, Lateness]           what being late costs, as settings are now
    standings(course, lab) -> dict[str, Standing]      what stands there, with everything set by hand
    results(course, lab), unmarked(course, lab)         the results that it came from, and those without a mark
    labs(course), lab_of(course, result)                which labs there are, and one as it was when it was graded

database    one writer at a time, one transaction for all
cells       a lab → nbgrader's assignment, notebook and cells
plan        a result → what is written down of it, pure
marks       that → rows; what a person set by hand stays
standing    rows → what stands there
autograded  the notebook that the formgrader shows, made anew, pure
folders     the files beside the database
late        what the class's settings make of the receipts
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from hpclab.errors import GradingError
from hpclab.grading import formgrader
from hpclab.grading.gradebook import cells, database, folders, late, marks, standing
from hpclab.grading.gradebook.plan import plan, refused
from hpclab.grading.gradebook.standing import Part as Part
from hpclab.grading.gradebook.standing import Standing as Standing
from hpclab.grading.lateness import Lateness
from hpclab.grading.model import Lab, Result
from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One test's automatic mark before (None: there is none) and after. ``by_hand``: a mark by hand covers it."""

    student: str
    test: str
    task: str
    old: float | None
    new: float
    by_hand: float | None = None


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch: students whose marks were written, and those without a mark, with the reason."""

    marked: tuple[str, ...] = ()
    unmarked: tuple[tuple[str, str], ...] = ()


def release(course: Course, lab: Lab, source: bytes) -> tuple[Path, Path]:
    """Make the class have ``lab``: its notebooks, and its entry in the database.

    ``source`` is the notebook with answers and hidden tests. Raises GradingError.
    """
    with database.writing(course.folder, formgrader.read(course.folder).course) as book:
        cells.register(book, lab, _due(course, lab.name))
        marks.enrol(book, [_person(course, lab.name, student) for student in course.students])
    folders.keep_lab(course.folder, lab)
    return folders.lay_lab(course.folder, lab, source)


def changes(course: Course, lab: Lab, results: Iterable[Result]) -> list[Change]:
    """What ``write`` would change in automatic marks, by student and in the lab's order. Nothing is written."""
    there = standings(course, lab.name) if (course.folder / database.NAME).is_file() else {}
    found = []
    for result in sorted(results, key=lambda one: one.task.student):
        if refused(result, lab):
            continue
        mine = there.get(result.task.student)
        parts = {part.test: part for part in mine.parts} if mine else {}
        scores = plan(result, lab).scores
        for test in lab.tests:
            part = parts.get(test.id)
            old = part.auto if part else None
            if old != scores[test.id]:
                found.append(
                    Change(
                        student=result.task.student,
                        test=test.id,
                        task=test.task,
                        old=old,
                        new=scores[test.id],
                        by_hand=part.manual if part else None,
                    )
                )
    return found


def write(
    course: Course,
    lab: Lab,
    results: Sequence[Result],
    receipts: Iterable[Receipt],
    submitted: Callable[[Result], bytes | None] = lambda _: None,
) -> Written:
    """Take the marks from ``results``: all in one transaction, then the files beside the database.

    Doing it again changes nothing, so it may simply be repeated when it was cut off. Whoever has no mark in
    ``results`` keeps the one that is there. ``receipts`` are those of all labs; ``submitted`` gives the
    notebook as it was received, where there is one. Raises GradingError, DeadlineExceeded.
    """
    _once(results)
    why = {result.task.student: refused(result, lab) for result in results}
    good = [result for result in results if not why[result.task.student]]
    with database.writing(course.folder, formgrader.read(course.folder).course) as book:
        notebook = cells.register(book, lab, _due(course, lab.name))
        students = sorted({*course.students, *(result.task.student for result in good)})
        people = {student: _person(course, lab.name, student) for student in students}
        marks.enrol(book, people.values())
        there = marks.submissions(book, notebook)
        for result in good:
            marks.put(book, notebook, there, plan(result, lab), people[result.task.student])
        _penalize(course, lab.name, there, receipts)
    folders.keep_lab(course.folder, lab)
    for result in good:
        folders.lay_result(course.folder, lab, result, submitted(result))
    for result in results:
        if why[result.task.student]:
            folders.lay_unmarked(course.folder, lab, result)
    return Written(
        marked=tuple(result.task.student for result in good),
        unmarked=tuple((student, reason) for student, reason in why.items() if reason),
    )


def settle(course: Course, lab: str, receipts: Iterable[Receipt]) -> dict[str, Lateness]:
    """Write down what being late costs by the settings and marks as they are now; the lateness of each student."""
    with database.writing(course.folder, formgrader.read(course.folder).course) as book:
        notebook = _notebook(book, course, lab)
        return _penalize(course, lab, marks.submissions(book, notebook), receipts)


def standings(course: Course, lab: str) -> dict[str, Standing]:
    """By student, what the gradebook says. Raises GradingError where there is no gradebook."""
    with database.reading(course.folder, formgrader.read(course.folder).course) as book:
        return standing.read(book, lab)


def results(course: Course, lab: str) -> dict[str, Result]:
    """By student, the result that the marks in the gradebook came from."""
    return folders.results(course.folder, lab)


def unmarked(course: Course, lab: str) -> dict[str, Result]:
    """By student, a newer result from which no mark could be taken."""
    return folders.unmarked(course.folder, lab)


def labs(course: Course) -> list[str]:
    """The labs that the class was given or has deadlines for."""
    return sorted({*folders.released(course.folder), *course.labs})


def lab_of(course: Course, result: Result) -> Lab:
    """The lab as it was when ``result`` came about."""
    return folders.lab(course.folder, result.task.lab, result.lab_digest)


def fits(result: Result, mine: Standing | None, lab: Lab) -> bool:
    """Whether the marks in the gradebook are those of ``result``: a writer that was killed leaves it open."""
    if mine is None or refused(result, lab):
        return False
    expected = plan(result, lab)
    same_time = mine.received is not None and abs(mine.received - expected.received) < 1e-3
    return same_time and {part.test: part.auto for part in mine.parts} == expected.scores


def _once(results: Sequence[Result]) -> None:
    names = [result.task.student for result in results]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise GradingError(
            f"two results for {', '.join(twice[:5])} in one batch",
            "Give the one that counts: hpclab grade LAB",
        )


def _notebook(book: Any, course: Course, lab: str) -> Any:
    try:
        return book.find_notebook(lab, lab)
    except ValueError:
        raise GradingError(
            f"{course.folder} has no lab {lab} in its gradebook", f"Hand it out first: hpclab release {lab}"
        ) from None


def _penalize(
    course: Course, lab: str, there: dict[str, Any], receipts: Iterable[Receipt]
) -> dict[str, Lateness]:
    marked = {student: when for student, mine in there.items() if (when := _received(mine)) is not None}
    lateness = late.of_lab(course, lab, receipts, marked)
    for student, mine in there.items():
        marks.penalize(mine, lateness[student].penalty_share if student in lateness else 0.0)
    return lateness


def _received(mine: Any) -> float | None:
    return standing.seconds(mine.assignment.timestamp)


def _due(course: Course, lab: str) -> Any:
    due = course.due(lab, "")
    return None if due is None else marks.utc(due)


def _person(course: Course, lab: str, student: str) -> marks.Person:
    known = course.students.get(student)
    mine, everybody = course.due(lab, student), course.due(lab, "")
    longer = (mine or 0.0) - (everybody or 0.0)
    return marks.Person(
        id=student,
        name=known.name if known else "",
        email=known.email if known else "",
        lms=known.lms if known else "",
        extension=timedelta(seconds=longer) if longer > 0 else None,
    )
