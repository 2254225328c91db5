"""What a learner is told, as a text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from hpclab.grading.reports.feedback_model import Told
from hpclab.grading.reports.feedback_page import points

WIDTH = 92


def text(told: Told) -> bytes:
    """The file."""
    return ("\n".join(_lines(told)).rstrip() + "\n").encode()


def _lines(told: Told) -> Iterator[str]:
    whose = f"{told.name} ({told.student})" if told.name else told.student
    yield from (f"{told.course}: feedback", told.title, "=" * min(WIDTH, len(told.title)), "")
    yield f"{whose}, receipt {told.receipt}"
    yield f"received {told.received}: {told.late}"
    yield ""
    yield f"{points(told.final)} of {points(told.points)} points"
    if told.penalty:
        yield f"  {points(told.score)} for the tasks, -{points(told.penalty)} for being late"
    yield ""
    yield from _wrapped(f"{told.said.title}. {told.said.happened}")
    yield from _block(told.problem)
    yield from _wrapped(f"Next: {told.said.next}")
    yield from _headed("Task by task")
    for task in told.tasks:
        yield f"{task.name}: {task.state}, {points(task.earned)} of {points(task.points)} points"
        for one in task.findings:
            yield from _wrapped(one.said, "  ")
            for term, words in (("found", one.found), ("expected", one.expected), ("look", one.look)):
                yield from _term(term, words)
        yield from _wrapped(task.by_hand, "  ")
        for comment in task.comments:
            yield "  From the people who teach your class:"
            yield from _block(comment)
        if task.tone != "good" and task.place.section:
            yield from _wrapped(
                f"Read next: section '{task.place.section}' of the lab. {task.place.address}", "  "
            )
        yield ""
    if told.notes:
        yield from _headed("What was put right (none of it changed your mark)")
        for note in told.notes:
            yield from _wrapped(f"- {note}", "", "  ")
    if told.jobs:
        yield from _headed("Your jobs")
        yield from (f"- {job}" for job in told.jobs)
    if told.log:
        yield from _headed("From the log of the last job that failed")
        yield from _block(told.log)
    if told.printed:
        yield from _headed("What your cells printed when it was marked")
        for cell in told.printed:
            yield f"{cell.label}{', ended with an error' if cell.failed else ''}:"
            yield from _block(cell.text)
            if cell.pictures:
                yield f"    ({len(cell.pictures)} picture{'s' if len(cell.pictures) > 1 else ''})"
    yield from _headed("About this mark")
    yield from _wrapped(told.deadline)
    yield f"receipt {told.receipt}, content sha256:{told.hash}"
    yield f"marked by HPC Lab {told.grader}"
    yield ""
    yield from _wrapped(told.regrade)


def _headed(words: str) -> Iterator[str]:
    yield from ("", words, "-" * len(words), "")


def _wrapped(words: str, first: str = "", then: str | None = None) -> Iterator[str]:
    indent = first if then is None else then
    yield from textwrap.wrap(
        words, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def _block(words: str) -> Iterator[str]:
    """Somebody's own lines, as they are, set in."""
    yield from (f"    {line}" for line in words.split("\n") if words)


def _term(term: str, words: str) -> Iterator[str]:
    lines = words.split("\n") if words else []
    yield from (f"  {term if at == 0 else '':9} {line}" for at, line in enumerate(lines))
