"""What commands on the marks of a class share: which lab is meant, and everything known of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
import msgspec
from click.shell_completion import CompletionItem

from hpclab.app.labs import with_modules
from hpclab.cli.course import course_folder
from hpclab.errors import GradingError, HpclabError
from hpclab.exercises.lab_names import complete_lab_names, select_lab
from hpclab.grading import gradebook, settings
from hpclab.grading.lateness import Lateness
from hpclab.grading.model import Result
from hpclab.grading.reports import overview
from hpclab.grading.reports.overview import Row
from hpclab.grading.settings import Course
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
    """The lab of the class that ``which`` means. Raises UsageError that lists the valid names."""
    known = with_modules(gradebook.labs(course))
    return select_lab(which, known, "Hand a lab out to the class: hpclab release LAB").name


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
    labs = with_modules(gradebook.labs(known)) if known else []
    return [CompletionItem(name) for name in complete_lab_names(incomplete, labs)]


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
