"""The end of `hpclab grade`: the table of what the marks change, the question, and what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab.app.grading import marks
from hpclab.app.grading.results import KeptResult
from hpclab.cli.common import console, table_width
from hpclab.grading.gradebook import Change
from hpclab.grading.model import Lab, Result, Verdict
from hpclab.grading.settings import Course


def finish(course: Course, lab: Lab, kept: Mapping[str, KeptResult], *, yes: bool) -> None:
    """Show what the marks change, and write them where that is wanted. Raises GradingError where marks are missing."""
    changes = marks.changes(course, lab, kept)
    show(changes, marks.results_of(kept))
    if yes or not changes or click.confirm(f"Write the marks of {len(kept)} submissions?", default=False):
        for student, reason in marks.write(course, lab, kept).items():
            if (
                kept[student].result.verdict is not Verdict.SYSTEM_ERROR
            ):  # those end the command with an error
                console.print(f"{student} has no mark: {reason}", markup=False, soft_wrap=True)
        click.echo(f"Written to {course.folder / 'gradebook.db'}. Feedback: hpclab feedback {lab.name}")
    else:
        click.echo("Nothing is written. The results are kept: the same command shows them again.")
    marks.require_marks(lab, kept)


def show(changes: Sequence[Change], results: Sequence[Result]) -> None:
    """The verdicts, and what the gradebook would have instead of what it has."""
    out = Console(highlight=False, width=table_width())
    by_student: dict[str, list[str]] = {}
    for change in changes:
        old = "" if change.old is None else f"{change.old:g} → "
        by_hand = f" (by hand: {change.by_hand:g}, stays)" if change.by_hand is not None else ""
        by_student.setdefault(change.student, []).append(f"{change.test} {old}{change.new:g}{by_hand}")
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for column in ("student", "version", "verdict", "points", "what changes in the gradebook"):
        table.add_column(column, overflow="fold")
    for result in results:
        student = result.task.student
        points = "" if result.verdict is Verdict.SYSTEM_ERROR else f"{result.earned:g} of {result.points:g}"
        changed = ", ".join(by_student.get(student, [])) or ("no mark" if not points else "nothing")
        table.add_row(Text(student), str(result.task.number), str(result.verdict), points, Text(changed))
    out.print(table)
