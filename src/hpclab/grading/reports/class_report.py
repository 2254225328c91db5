"""A class at a glance: one lab, how the marks are spread, what people stumbled over, whom to look at.

    summary(title, lab, rows, results) -> Summary      plain values, pure
    report_page.html(summary) -> bytes                 a page in one file, for the instructor

Reasons are what the checks found, with numbers and names in quotation marks taken out, so that the same reason from
many people is one line. What hidden checks found is among them: the page is not for learners.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

import msgspec

from hpclab.grading import sanitize
from hpclab.grading.gradebook.plan import lost
from hpclab.grading.model import Lab, Mark, Result, Verdict
from hpclab.grading.reports.feedback_page import points
from hpclab.grading.reports.overview import Row
from hpclab.grading.reports.sections import order

BINS = 10
MOST_REASONS = 6
MEANS = {
    Verdict.PASS: "every point",
    Verdict.PARTIAL: "some points",
    Verdict.FAIL: "ran, and earned nothing",
    Verdict.TIMEOUT: "stopped for its time",
    Verdict.MEMORY: "stopped for its memory or processes",
    Verdict.OUTPUT_LIMIT: "stopped for what it printed or wrote",
    Verdict.CRASH: "its Python died",
    Verdict.TAMPER: "put aside for a person to look at",
    Verdict.BAD_INPUT: "could not be read as this lab",
    Verdict.SYSTEM_ERROR: "could not be graded: our fault, no mark",
}


class TaskSum(msgspec.Struct, frozen=True, kw_only=True):
    """How one task went: by the checks, of everybody whose tests have spoken."""

    name: str
    points: float
    full: int
    part: int
    none: int
    reasons: tuple[tuple[str, int], ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One lab of one class."""

    course: str
    lab: str
    title: str
    points: float
    rows: tuple[Row, ...]
    bins: tuple[int, ...]  # how many marks in each tenth of the points; the last one has all points in it
    tasks: tuple[TaskSum, ...]
    verdicts: tuple[tuple[str, int], ...]

    @property
    def marks(self) -> list[float]:
        return [row.score for row in self.rows if row.score is not None]

    @property
    def missing(self) -> list[Row]:
        return [row for row in self.rows if not row.handed_in]

    @property
    def troubles(self) -> list[Row]:
        return [row for row in self.rows if row.trouble]

    @property
    def looks(self) -> list[Row]:
        return [row for row in self.rows if row.needs_look]

    @property
    def late(self) -> list[Row]:
        return [row for row in self.rows if row.late]

    @property
    def took(self) -> str:
        """How long grading took."""
        seconds = [row.seconds for row in self.rows if row.seconds]
        if not seconds:
            return ""
        return f" Grading one took {median(seconds):.0f} s in the middle and {max(seconds):.0f} s at most."

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        parts = [f"{len(self.rows)} students", f"{len(self.rows) - len(self.missing)} handed in"]
        parts.append(f"{len(self.marks)} marked")
        if self.marks:
            parts.append(f"median {points(median(self.marks))} of {points(self.points)}")
        parts += [f"{len(self.late)} late"] if self.late else []
        parts += [f"{len(self.troubles)} without a mark or with an old one"] if self.troubles else []
        parts += [f"{len(self.looks)} to be looked at"] if self.looks else []
        return ", ".join(parts)


def summary(course: str, lab: Lab, rows: Sequence[Row], results: Mapping[str, Result]) -> Summary:
    """What there is to say of ``lab``."""
    total = sum(test.points for test in lab.tests)
    found = Counter(row.verdict for row in rows if row.verdict)
    return Summary(
        course=sanitize.line(course),
        lab=lab.name,
        title=sanitize.line(lab.title),
        points=total,
        rows=tuple(rows),
        bins=spread([row.score for row in rows if row.score is not None], total),
        tasks=tuple(_tasks(lab, results.values())),
        verdicts=tuple((verdict.value, found[verdict.value]) for verdict in Verdict if found[verdict.value]),
    )


def spread(marks: Iterable[float], total: float) -> tuple[int, ...]:
    """How many marks lie in each tenth."""
    found = [0] * BINS
    for mark in marks:
        share = mark / total if total else 0.0
        found[min(BINS - 1, max(0, int(share * BINS + 1e-9)))] += 1
    return tuple(found)


def _tasks(lab: Lab, results: Iterable[Result]) -> Iterator[TaskSum]:
    silent = (Verdict.TAMPER, Verdict.BAD_INPUT, Verdict.SYSTEM_ERROR)
    spoken = [result for result in results if result.verdict not in silent]
    for task in order(lab):
        full = part = none = 0
        reasons: dict[str, list[str]] = {}  # what checks found, by what is the same of it
        for result in spoken:
            mine = [mark for mark in result.marks if mark.task == task]
            earned, whole = sum(mark.earned for mark in mine), sum(mark.points for mark in mine)
            full, part, none = (
                full + (earned >= whole),
                part + (0 < earned < whole),
                none + (earned == 0 < whole),
            )
            for alike, said in {reason(mark): finding(mark) for mark in mine if lost(mark)}.items():
                reasons.setdefault(alike, []).append(said)
        yield TaskSum(
            name=task,
            points=sum(test.points for test in lab.tests if test.task == task),
            full=full,
            part=part,
            none=none,
            reasons=tuple(_most(reasons)),
        )


def _most(reasons: Mapping[str, Sequence[str]]) -> list[tuple[str, int]]:
    """The reasons that most people have, in their own words where all of them have the same."""
    often = sorted(reasons.items(), key=lambda one: -len(one[1]))[:MOST_REASONS]
    return [(said[0] if len(set(said)) == 1 else alike, len(said)) for alike, said in often]


def finding(mark: Mark) -> str:
    """What a check found, in a line."""
    hidden = f"hidden check {mark.test}: " if mark.hidden else ""
    return sanitize.line(hidden + (mark.private or mark.found or mark.said or "a check did not pass"), 300)


def reason(mark: Mark) -> str:
    """What a check found without names and numbers, so that the same from many people is the same text."""
    hidden = f"hidden check {mark.test}: " if mark.hidden else ""
    said = finding(mark).removeprefix(hidden)
    said = re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", said)
    return sanitize.line(hidden + re.sub(r"\d+(?:[.:]\d+)*", "N", said), 200)


def remarks(row: Row) -> list[str]:
    """What is special about a row."""
    found = ["mark set by hand"] if row.by_hand else []
    found += ["to be looked at"] if row.needs_look else []
    return found + ([sanitize.line(row.trouble, 200)] if row.trouble else [])
