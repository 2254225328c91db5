"""A class at a glance as a page in one file, for instructors."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from hpclab.grading import sanitize
from hpclab.grading.model import Verdict
from hpclab.grading.reports import pages
from hpclab.grading.reports.class_report import BINS, MEANS, Summary, remarks
from hpclab.grading.reports.feedback_page import points
from hpclab.grading.reports.overview import Row


def html(one: Summary) -> bytes:
    """The page."""
    return pages.page(f"{one.title}: report on {one.course}", _body(one), wide=True)


def _body(one: Summary) -> Iterator[Markup]:
    yield Markup('<p class="over">{}: report for instructors</p>\n<h1>{}</h1>\n<p>{}</p>').format(
        one.course, one.title, one.sentence
    )
    yield _attention(one)
    if one.marks:
        yield Markup("<h2>Marks</h2>")
        yield _histogram(one)
        yield Markup("<h2>Tasks</h2>")
        yield from _task_tables(one)
    if one.verdicts:
        rows = [(verdict, MEANS[Verdict(verdict)], str(count)) for verdict, count in one.verdicts]
        yield Markup("<h2>Verdicts</h2>")
        yield pages.table(
            "What became of each submission." + one.took,
            ["verdict", "meaning", "submissions"],
            rows,
            numbers=[2],
        )
    yield Markup("<h2>Everybody</h2>")
    yield _everybody(one)
    yield Markup("<footer><p>{}</p></footer>").format(
        "This page has names and marks: keep it where only those look who may. Marks set by hand in the formgrader are in it."
    )


def _attention(one: Summary) -> Markup:
    items = [
        *(f"{_who(row)}: {sanitize.line(row.trouble, 400)}" for row in one.troubles),
        *(f"{_who(row)}: a person has to look at it in the formgrader" for row in one.looks),
    ]
    if not items:
        return Markup("")
    return Markup('<div class="card bad"><p class="state bad">To be looked at</p>{}</div>').format(
        pages.listed(items)
    )


def _histogram(one: Summary) -> Markup:
    """Bars between marks of ten percent, and the same in words."""
    tallest = max(one.bins)
    bar, left, ground = 54, 24, 150
    drawn = []
    for at, count in enumerate(one.bins):
        tall, begin = round(130 * count / tallest), left + at * (bar + 4)
        drawn.append(_rect(begin + 2, ground - tall, bar, tall))
        if count:
            drawn.append(_text(begin + 2 + bar // 2, ground - 6 - tall, str(count)))
    drawn += [_text(left + at * (bar + 4), ground + 18, str(10 * at)) for at in range(BINS + 1)]
    drawn.append(_text(left + 5 * (bar + 4), ground + 38, "percent of all points"))
    words = "; ".join(f"{10 * at} to {10 * at + 10} %: {count}" for at, count in enumerate(one.bins) if count)
    return Markup(
        '<svg class="chart" viewBox="0 0 632 196" role="img" aria-label="Submissions by percent of all points: {}">{}'
        '<line class="axis" x1="{}" y1="{}" x2="{}" y2="{}"/></svg>\n<p class="soft">{}</p>'
    ).format(
        words,
        Markup("").join(drawn),
        *(left, ground, left + 10 * (bar + 4), ground),
        f"Submissions by percent of all points: {words}.",
    )


def _rect(x: int, y: int, width: int, height: int) -> Markup:
    return Markup('<rect class="fill" x="{}" y="{}" width="{}" height="{}"/>').format(x, y, width, height)


def _text(x: int, y: int, words: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(x, y, words)


def _task_tables(one: Summary) -> Iterator[Markup]:
    for task in one.tasks:
        total = task.full + task.part + task.none
        words = f"{task.full} of {total} did all of it, {task.part} some, {task.none} nothing"
        yield Markup('<section class="card"><h3>{} ({} points)</h3>\n{}\n<p>{}</p>\n{}</section>').format(
            task.name,
            points(task.points),
            pages.bar(task.full, total, words),
            words,
            pages.listed(f"{_people(count)}: {text}" for text, count in task.reasons),
        )


def _everybody(one: Summary) -> Markup:
    headings = ["student", "mark", "checks", "late", "verdict", "seconds", "remarks"]
    rows = [
        (
            _who(row),
            points(row.score) if row.score is not None else "no mark",
            points(row.checks) if row.checks is not None else "",
            f"{row.late} (minus {points(row.penalty)})" if row.penalty else row.late,
            row.verdict or ("" if row.handed_in else "nothing handed in"),
            f"{row.seconds:.0f}" if row.seconds else "",
            "; ".join(remarks(row)),
        )
        for row in one.rows
    ]
    return pages.table(f"Marks of {points(one.points)} points.", headings, rows, numbers=[1, 2, 5])


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _who(row: Row) -> str:
    name = sanitize.line(row.name, 80)
    return f"{name} ({row.student})" if name else row.student
