"""A student's feedback as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from hpclab.grading.reports.feedback_model import FeedbackPage, TaskFeedback
from hpclab.grading.reports.wording import format_points

WIDTH = 92


def render_text(page: FeedbackPage) -> bytes:
    """Return the feedback as the content of a text file."""
    return ("\n".join(_lines(page)).rstrip() + "\n").encode()


def _lines(page: FeedbackPage) -> Iterator[str]:
    yield from (f"{page.course}: feedback", page.title, "=" * min(WIDTH, len(page.title)), "")
    yield f"{f'{page.name} ({page.student})' if page.name else page.student}, receipt {page.receipt}"
    yield f"received {page.received}: {page.late}"
    yield ""
    yield f"{format_points(page.final)} of {format_points(page.points)} points"
    if page.penalty:
        yield f"  {format_points(page.score)} for the tasks, -{format_points(page.penalty)} for being late"
    yield ""
    yield from _wrapped(f"{page.verdict.title}. {page.verdict.happened}")
    yield from _indented(page.problem)
    yield from _wrapped(f"Next: {page.verdict.next}")
    yield from _heading("Task by task")
    for task in page.tasks:
        yield from _task_lines(task)
        yield ""
    if page.notes:
        yield from _heading("What was repaired (none of it changed your mark)")
        for note in page.notes:
            yield from _wrapped(f"- {note}", "", "  ")
    if page.jobs:
        yield from _heading("Your jobs")
        yield from (f"- {job}" for job in page.jobs)
    if page.log:
        yield from _heading("Log of the last job that failed")
        yield from _indented(page.log)
    if page.outputs:
        yield from _heading("Output of your cells in the graded run")
        for cell in page.outputs:
            yield f"{cell.label}{', ended with an error' if cell.failed else ''}:"
            yield from _indented(cell.text)
            if cell.pictures:
                yield f"    ({len(cell.pictures)} picture{'s' if len(cell.pictures) > 1 else ''})"
    yield from _heading("About this mark")
    yield from _wrapped(page.deadline)
    yield f"receipt {page.receipt}, content sha256:{page.hash}"
    yield f"graded by HPC Lab {page.grader}"
    yield ""
    yield from _wrapped(page.regrade)


def _task_lines(task: TaskFeedback) -> Iterator[str]:
    yield f"{task.name}: {task.state}, {format_points(task.earned)} of {format_points(task.points)} points"
    for finding in task.findings:
        yield from _wrapped(finding.message, "  ")
        for term, text in (
            ("found", finding.found),
            ("expected", finding.expected),
            ("look at", finding.look),
        ):
            lines = text.split("\n") if text else []
            yield from (f"  {'' if number else term:9} {line}" for number, line in enumerate(lines))
    yield from _wrapped(task.by_hand, "  ")
    for comment in task.comments:
        yield "  From your instructor:"
        yield from _indented(comment)
    if task.tone != "good" and task.section.title:
        yield from _wrapped(f"Read section '{task.section.title}' of the lab. {task.section.address}", "  ")


def _heading(text: str) -> Iterator[str]:
    yield from ("", text, "-" * len(text), "")


def _wrapped(text: str, first: str = "", then: str | None = None) -> Iterator[str]:
    indent = first if then is None else then
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def _indented(text: str) -> Iterator[str]:
    """Yield lines of text from others unchanged but for an indent."""
    yield from (f"    {line}" for line in text.split("\n") if text)
