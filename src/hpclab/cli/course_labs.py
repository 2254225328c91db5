"""What commands on the marks of a class share: which lab is meant, and everything known of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
import msgspec
from click.shell_completion import CompletionItem

from hpclab.cli.course import course_folder
from hpclab.errors import GradingError, HpclabError, UsageError
from hpclab.grading import gradebook, settings
from hpclab.grading.lateness import Lateness
from hpclab.grading.model import Result
from hpclab.grading.reports import overview
from hpclab.grading.reports.overview import Row
from hpclab.grading.settings import Course
from hpclab.grading.submissions import student_ids
from hpclab.grading.submissions.store import Store


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """One lab of a class, as its folder has it."""

    lab: str
    standings: Mapping[str, gradebook.Standing]
    results: Mapping[str, Result]
    unmarked: Mapping[str, Result]
    lateness: Mapping[str, Lateness]
    rows: list[Row]


def lab_named(course: Course, which: str) -> str:
    """The lab of the class that a person means: its name, with or without its module, or how it begins.

    Raises UsageError with the valid names.
    """
    known = gradebook.labs(course)
    wanted = which.rstrip("/").rpartition("/")[2].removesuffix(".md").removesuffix(".ipynb")
    if wanted in known:
        return wanted
    fitting = [name for name in known if wanted and name.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    what = "several labs" if fitting else "no lab"
    valid = "\n    ".join(fitting or known)
    raise UsageError(
        f"{student_ids.shown(which)} names {what} of the class in {course.folder}",
        f"Valid:\n    {valid}" if valid else "The class has none yet: hpclab release LAB",
    )


def marked(course: Course, lab: str) -> Marked:
    """Everything known of the marks of ``lab``, with what being late costs by the settings of now.

    Raises GradingError that names the command which comes first.
    """
    receipts = Store(course.folder).receipts()
    results, unmarked = gradebook.results(course, lab), gradebook.unmarked(course, lab)
    if not results and not unmarked:
        first = f"hpclab grade {lab}"
        if not any(one.lab == lab for one in receipts):
            first = f"hpclab collect {lab} SOURCE, then: {first}"
        raise GradingError(f"nothing of {lab} is graded yet in {course.folder}", f"Run: {first}")
    lateness = gradebook.settle(course, lab, receipts)
    standings = gradebook.standings(course, lab)
    rows = overview.rows(course, lab, standings, results, unmarked, lateness, receipts)
    return Marked(
        lab=lab, standings=standings, results=results, unmarked=unmarked, lateness=lateness, rows=rows
    )


def complete_lab(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Labs of the class."""
    known = _class(ctx)
    found = gradebook.labs(known) if known else []
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def complete_student(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Students of the class, with their names where the shell shows them."""
    known = _class(ctx)
    everybody = known.students.values() if known else []
    return [CompletionItem(one.id, help=one.name) for one in everybody if one.id.startswith(incomplete)]


def _class(ctx: click.Context) -> Course | None:
    chosen = ctx.params.get("folder")
    try:
        return settings.load(course_folder(Path(chosen) if chosen else None))
    except HpclabError:  # a shell that completes words wants no message
        return None
