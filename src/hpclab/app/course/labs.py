"""Which lab of a course a name means, and everything that the course's folder says about its marks."""

from __future__ import annotations

from hpclab.app.labs import labs_of_clone, with_modules
from hpclab.errors import GradingError
from hpclab.exercises.lab_names import LabName, select_lab
from hpclab.grading import gradebook, settings
from hpclab.grading.model import Lab
from hpclab.grading.reports.overview import LabMarks
from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Store


def list_labs(course: Course) -> list[LabName]:
    """The labs that were released to the course or are in its settings; without any, all labs of the clone."""
    return with_modules(gradebook.list_labs(course)) or [*labs_of_clone()]


def find_lab(course: Course, text: str) -> str:
    """The name of the course's lab that ``text`` means. Raises UsageError that lists the valid names."""
    hint = f"Add a lab to {course.folder / settings.NAME} as [labs.NAME]."
    return select_lab(text, list_labs(course), hint).name


def read_marks(course: Course, lab: str) -> LabMarks:
    """The marks of ``lab``, after writing penalties for late work by the present settings.

    Raises GradingError that names the command to run first.
    """
    receipts = Store(course.folder).receipts()
    results, unmarked = gradebook.read_results(course, lab), gradebook.read_unmarked(course, lab)
    if not results and not unmarked:
        commands = f"hpclab grade {lab}"
        if not any(receipt.lab == lab for receipt in receipts):
            commands = f"hpclab collect {lab} SOURCE, then: {commands}"
        raise GradingError(f"nothing of {lab} is graded yet in {course.folder}", f"Run: {commands}")
    lateness = gradebook.apply_lateness(course, lab, receipts)
    scores = gradebook.read_scores(course, lab)
    return LabMarks(
        lab=lab,
        scores=scores,
        results=results,
        unmarked=unmarked,
        lateness=lateness,
        receipts=tuple(receipts),
    )


def read_newest_lab(course: Course, marks: LabMarks) -> Lab:
    """The lab in the state in which the submission received last was graded."""
    results = [*marks.results.values(), *marks.unmarked.values()]
    return gradebook.read_lab(course, max(results, key=lambda result: result.task.received))
