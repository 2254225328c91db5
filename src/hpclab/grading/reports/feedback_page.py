"""What a learner is told, as a page in one file."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from hpclab.grading.reports import pages
from hpclab.grading.reports.feedback_model import Finding, TaskTold, Told
from hpclab.grading.reports.printed import Printed

SIGNS = {"good": "✓", "part": "◐", "bad": "✗"}


def html(told: Told) -> bytes:
    """The file."""
    return pages.page(f"{told.title}: feedback for {told.student}", _body(told))


def points(value: float) -> str:
    """``3``, ``2.5``, ``2.67``."""
    return f"{round(value, 2):g}"


def _body(told: Told) -> Iterator[Markup]:
    yield Markup('<p class="over">{}: feedback</p>\n<h1>{}</h1>').format(told.course, told.title)
    whose = f"{told.name} ({told.student})" if told.name else told.student
    yield Markup("<p>{}, receipt {}, received {}</p>").format(whose, told.receipt, told.received)
    words = f"{points(told.final)} of {points(told.points)} points"
    yield Markup('<p class="mark">{}</p>').format(words)
    yield pages.bar(told.final, told.points, words)
    yield _sum(told)
    yield _happened(told)
    yield Markup("<h2>Task by task</h2>")
    for task in told.tasks:
        yield _task(task)
    if told.notes:
        yield Markup("<h2>What was put right</h2>\n<p>{}</p>\n{}").format(
            "None of this changed your mark.", pages.listed(told.notes)
        )
    yield _jobs(told)
    yield _printed(told.printed)
    yield _about(told)


def _sum(told: Told) -> Markup:
    """How the mark comes about, where it is not simply the sum of the tasks."""
    if not told.penalty and not told.by_hand:
        return Markup("")
    lines = [
        f"{points(told.score)} points for the tasks"
        + (", some of them set by a person" if told.by_hand else "")
    ]
    if told.penalty:
        lines.append(f"minus {points(told.penalty)} for being late ({told.late})")
    return pages.listed(lines)


def _happened(told: Told) -> Markup:
    problem = Markup("<pre>{}</pre>").format(told.problem) if told.problem else Markup("")
    return Markup(
        '<div class="card {}">\n<p class="state {}">{}</p>\n<p>{}</p>\n{}<p><strong>Next:</strong> {}</p>\n</div>'
    ).format(told.said.tone, told.said.tone, told.said.title, told.said.happened, problem, told.said.next)


def _task(task: TaskTold) -> Markup:
    state = Markup('<span class="state {}">{} {}</span>').format(task.tone, SIGNS[task.tone], task.state)
    parts = [
        Markup("<h3>{}</h3>").format(task.name),
        Markup("<p>{}, {} of {} points</p>").format(state, points(task.earned), points(task.points)),
        *(_finding(one) for one in task.findings),
        Markup("<p>{}</p>").format(task.by_hand) if task.by_hand else Markup(""),
        *(
            Markup(
                '<p class="soft">From the people who teach your class:</p>\n<div class="person">{}</div>'
            ).format(text)
            for text in task.comments
        ),
        _read(task) if task.tone != "good" else Markup(""),
    ]
    inner = Markup("\n").join(part for part in parts if part)
    return Markup('<section class="card {}" aria-label="Task {}">\n{}\n</section>').format(
        task.tone, task.name, inner
    )


def _finding(one: Finding) -> Markup:
    terms = [("Found", one.found), ("Expected", one.expected), ("Where to look", one.look)]
    rows = Markup("").join(
        Markup("<dt>{}</dt><dd>{}</dd>").format(term, words) for term, words in terms if words
    )
    said = Markup("<p>{}</p>").format(one.said) if one.said else Markup("")
    return said + (Markup("<dl>{}</dl>").format(rows) if rows else Markup(""))


def _read(task: TaskTold) -> Markup:
    """Where to read on: the lab's own section; a link only to the course's book."""
    if not task.place.section:
        return Markup("")
    section = f"“{task.place.section}”"
    if task.place.address.startswith(("https://", "http://")):
        link = Markup('<a href="{}" rel="noreferrer">{}</a>').format(task.place.address, section)
    else:
        link = Markup("{}").format(section)
    return Markup("<p>Read next: section {} of the lab.</p>").format(link)


def _jobs(told: Told) -> Markup:
    parts = []
    if told.jobs:
        parts.append(Markup("<h2>Your jobs</h2>"))
        if told.timeline:
            parts.append(
                pages.picture(told.timeline, "When your jobs waited and ran; the list below says the same.")
            )
        parts.append(pages.listed(told.jobs))
    if told.log:
        parts.append(
            Markup("<h2>From the log of the last job that failed</h2>\n<pre>{}</pre>").format(told.log)
        )
    return Markup("\n").join(parts)


def _printed(printed: tuple[Printed, ...]) -> Markup:
    if not printed:
        return Markup("")
    parts = [
        Markup("<h2>What your cells printed</h2>"),
        Markup("<p>{}</p>").format(
            "This is from the run that was marked; it may differ from what you saw. It was not looked at for your mark."
        ),
    ]
    for one in printed:
        shown = [Markup("<pre>{}</pre>").format(one.text)] if one.text else []
        shown += [pages.picture(data, f"A picture from: {one.label}") for data in one.pictures]
        error = ", ended with an error" if one.failed else ""
        parts.append(
            Markup("<details{}><summary>{}{}</summary>\n{}</details>").format(
                Markup(" open") if one.failed else "", one.label, error, Markup("\n").join(shown)
            )
        )
    return Markup("\n").join(parts)


def _about(told: Told) -> Markup:
    rows = [
        ("Received", f"{told.received}: {told.late}"),
        ("Handing it in again", told.deadline),
        ("Receipt", f"{told.receipt}"),
        ("Content", f"sha256:{told.hash}"),
        ("Marked by", f"HPC Lab {told.grader}"),
    ]
    terms = Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(*row) for row in rows)
    return Markup("<footer>\n<h2>About this mark</h2>\n<dl>{}</dl>\n<p>{}</p>\n</footer>").format(
        terms, told.regrade
    )
