"""The end of a grading run: what the marks would change, shown; then the gradebook and the ledger, written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab.app.grading.results import Found
from hpclab.cli.common import console, table_width
from hpclab.errors import GradingError
from hpclab.grading import gradebook
from hpclab.grading.model import Lab, Result, Verdict
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.settings import Course
from hpclab.grading.submissions import ipynb
from hpclab.grading.submissions.store import Store


def finish(course: Course, lab: Lab, have: Mapping[str, Found], *, yes: bool) -> None:
    """Show what the marks change, and write them where that is wanted. Raises GradingError where marks are missing."""
    results = [found.result for _, found in sorted(have.items())]
    changes = gradebook.changes(course, lab, results)
    show(changes, results)
    if yes or not changes or click.confirm(f"Write the marks of {len(results)} submissions?", default=False):
        store = Store(course.folder)
        written = gradebook.write(
            course, lab, results, store.receipts(), lambda result: _notebook(store, lab, result)
        )
        record(course, have)
        for student, reason in written.unmarked:
            if have[student].result.verdict is Verdict.SYSTEM_ERROR:
                continue  # told below, as what went wrong
            console.print(f"{student} has no mark: {reason}", markup=False, soft_wrap=True)
        click.echo(f"Written to {course.folder / 'gradebook.db'}. Feedback: hpclab feedback {lab.name}")
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


def record(course: Course, have: Mapping[str, Found]) -> None:
    """Note in the ledger what was graded, once for each result."""
    ledger = Ledger(course.folder)
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
            result=str(found.path.relative_to(course.folder)),
            result_hash=hashlib.sha256(found.path.read_bytes()).hexdigest(),
        )


def show(changes: Sequence[gradebook.Change], results: Sequence[Result]) -> None:
    """The verdicts, and what the gradebook would have instead of what it has."""
    out = Console(highlight=False, width=table_width())
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
