"""Which lab of a course a name means, and everything that the course's folder says about its marks."""

from __future__ import annotations

from hpclab import layout
from hpclab.errors import GradingError, UsageError
from hpclab.exercises import build
from hpclab.grading import gradebook, settings
from hpclab.grading.model import Lab
from hpclab.grading.reports.overview import LabMarks
from hpclab.grading.settings import Course
from hpclab.grading.submissions import student_ids
from hpclab.grading.submissions.store import Store


def list_labs(course: Course) -> list[str]:
    """The labs that were released to the course or are in its settings; without any, all labs of the clone."""
    return gradebook.list_labs(course) or sorted(_modules())


def find_lab(course: Course, text: str) -> str:
    """The lab that ``text`` means: a name or the beginning of one, alone or after its module (ex01, 01/ex01).

    Raises UsageError with the valid names.
    """
    path, _, name = text.rstrip("/").rpartition("/")
    name = name.removesuffix(".md").removesuffix(".ipynb")
    module = path.rpartition("/")[2]
    labs, modules = list_labs(course), _modules()
    if name in labs:
        return name
    fitting = [
        lab for lab in labs if name and lab.startswith(name) and modules.get(lab, module).startswith(module)
    ]
    if len(fitting) == 1:
        return fitting[0]
    valid = "\n    ".join(fitting or labs)
    raise UsageError(
        f"{student_ids.shown(text)} names {'several labs' if fitting else 'no lab'} of the course in {course.folder}",
        f"Valid names:\n    {valid}\nAdd a lab to {course.folder / settings.NAME} as [labs.NAME].",
    )


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


def _modules() -> dict[str, str]:
    """The module of each lab of the clone, by the lab's name."""
    return {path.stem: path.parent.name for path in build.sources(layout.clone_folder() / "notebooks")}
