"""One lab of a course in summary: how the marks are distributed, frequent mistakes, submissions to review. Pure.

    summarize(course, lab, rows, results) -> ClassSummary      as plain values; ``pages`` renders them

Reasons are what the checks found, without numbers and quoted names, so that the same reason from many students is
one line. They include findings of hidden checks: the report is for instructors only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

import msgspec

from hpclab.grading import sanitize
from hpclab.grading.gradebook.plan import loses_points
from hpclab.grading.model import Lab, Mark, Result, Verdict
from hpclab.grading.reports.feedback_model import UNTESTED
from hpclab.grading.reports.overview import StudentRow
from hpclab.grading.reports.wording import format_points

BINS = 10
MOST_REASONS = 6
MEANINGS = {
    Verdict.PASS: "every point",
    Verdict.PARTIAL: "some points",
    Verdict.FAIL: "ran to the end without earning a point",
    Verdict.TIMEOUT: "stopped at the time limit",
    Verdict.MEMORY: "stopped at the limit of memory or processes",
    Verdict.OUTPUT_LIMIT: "stopped because it printed or wrote too much",
    Verdict.CRASH: "Python exited too early",
    Verdict.TAMPER: "set aside for an instructor to review",
    Verdict.BAD_INPUT: "could not be read as this lab",
    Verdict.SYSTEM_ERROR: "could not be graded for a reason on our side; no mark",
}


class TaskSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How many submissions solved a task fully, in part, or not at all, by the checks alone."""

    name: str
    points: float
    full: int
    part: int
    none: int
    reasons: tuple[tuple[str, int], ...]

    @property
    def share(self) -> float:
        """The share of submissions with all points, 0 to 1."""
        return self.full / max(1, self.full + self.part + self.none)

    @property
    def description(self) -> str:
        total = self.full + self.part + self.none
        return f"{self.full} of {total} earned all points, {self.part} some, {self.none} none"


class ClassSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of one lab of one course."""

    course: str
    lab: str
    title: str
    points: float
    rows: tuple[StudentRow, ...]
    bins: tuple[int, ...]  # how many marks in each tenth of the points; full marks are in the last one
    tasks: tuple[TaskSummary, ...]
    verdicts: tuple[tuple[str, int], ...]

    @property
    def marks(self) -> list[float]:
        return [row.score for row in self.rows if row.score is not None]

    @property
    def missing(self) -> list[StudentRow]:
        """Students without a submission."""
        return [row for row in self.rows if not row.handed_in]

    @property
    def without_mark(self) -> list[StudentRow]:
        """Students whose submission, or whose newest version, has no mark."""
        return [row for row in self.rows if row.trouble]

    @property
    def to_review(self) -> list[StudentRow]:
        return [row for row in self.rows if row.needs_look]

    @property
    def late(self) -> list[StudentRow]:
        return [row for row in self.rows if row.late]

    @property
    def grading_time(self) -> str:
        """How long grading took, as a sentence after a space; empty where that is unknown."""
        seconds = [row.seconds for row in self.rows if row.seconds]
        if not seconds:
            return ""
        return f" Grading one took {median(seconds):.0f} s (median), {max(seconds):.0f} s at most."

    @property
    def figures(self) -> list[tuple[str, str]]:
        """The most important numbers, each with its label."""
        figures = [
            ("students", str(len(self.rows))),
            ("submitted", str(len(self.rows) - len(self.missing))),
            ("marked", str(len(self.marks))),
        ]
        if self.marks:
            figures.append((f"median of {format_points(self.points)}", format_points(median(self.marks))))
        figures += [("late", str(len(self.late)))] if self.late else []
        figures += [("no mark, or an old one", str(len(self.without_mark)))] if self.without_mark else []
        figures += [("to review", str(len(self.to_review)))] if self.to_review else []
        return figures

    @property
    def sentence(self) -> str:
        """The same numbers in one line."""
        parts = [f"{len(self.rows)} students", f"{len(self.rows) - len(self.missing)} submitted"]
        parts.append(f"{len(self.marks)} marked")
        if self.marks:
            parts.append(f"median {format_points(median(self.marks))} of {format_points(self.points)}")
        parts += [f"{len(self.late)} late"] if self.late else []
        parts += [f"{len(self.without_mark)} without a mark or with an old one"] if self.without_mark else []
        parts += [f"{len(self.to_review)} to review"] if self.to_review else []
        return ", ".join(parts)


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One bar of a histogram, in the units of its drawing."""

    x: int
    y: int
    width: int
    height: int
    count: int


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """A histogram as a drawing of 650 by 190, and the same as text."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[int, str], ...]
    left: int
    right: int
    baseline: int
    description: str


def summarize(
    course: str, lab: Lab, rows: Sequence[StudentRow], results: Mapping[str, Result]
) -> ClassSummary:
    """Return the summary of ``lab``. ``results`` are those that the marks came from, by student."""
    total = sum(test.points for test in lab.tests)
    counts = Counter(row.verdict for row in rows if row.verdict)
    return ClassSummary(
        course=sanitize.line(course),
        lab=lab.name,
        title=sanitize.line(lab.title),
        points=total,
        rows=tuple(rows),
        bins=count_by_tenth([row.score for row in rows if row.score is not None], total),
        tasks=tuple(_summarize_tasks(lab, results.values())),
        verdicts=tuple(
            (verdict.value, counts[verdict.value]) for verdict in Verdict if counts[verdict.value]
        ),
    )


def count_by_tenth(marks: Iterable[float], total: float) -> tuple[int, ...]:
    """Return how many marks lie in each tenth of ``total``."""
    counts = [0] * BINS
    for mark in marks:
        share = mark / total if total else 0.0
        counts[min(BINS - 1, max(0, int(share * BINS + 1e-9)))] += 1
    return tuple(counts)


def _summarize_tasks(lab: Lab, results: Iterable[Result]) -> Iterator[TaskSummary]:
    tested = [result for result in results if result.verdict not in UNTESTED]
    for task in lab.task_names:
        full = part = none = 0
        findings: dict[str, list[str]] = {}  # by reason
        for result in tested:
            marks = [mark for mark in result.marks if mark.task == task]
            earned, points = sum(mark.earned for mark in marks), sum(mark.points for mark in marks)
            full += earned >= points
            part += 0 < earned < points
            none += earned == 0 < points
            for reason, finding in {
                find_reason(mark): describe(mark) for mark in marks if loses_points(mark)
            }.items():
                findings.setdefault(reason, []).append(finding)
        yield TaskSummary(
            name=task,
            points=sum(test.points for test in lab.tests if test.task == task),
            full=full,
            part=part,
            none=none,
            reasons=tuple(_select_reasons(findings)),
        )


def _select_reasons(findings: Mapping[str, Sequence[str]]) -> list[tuple[str, int]]:
    """Return the most frequent reasons with their counts; the finding itself where all of one reason are the same."""
    frequent = sorted(findings.items(), key=lambda item: -len(item[1]))[:MOST_REASONS]
    return [(texts[0] if len(set(texts)) == 1 else reason, len(texts)) for reason, texts in frequent]


def describe(mark: Mark) -> str:
    """Return what a failed check found, on one line."""
    text = mark.private or mark.found or mark.said or "a check did not pass"
    return sanitize.line(_hidden_prefix(mark) + text, 300)


def find_reason(mark: Mark) -> str:
    """Return what a failed check found, without names and numbers."""
    prefix = _hidden_prefix(mark)
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", describe(mark).removeprefix(prefix))
    return sanitize.line(prefix + re.sub(r"\d+(?:[.:]\d+)*", "N", text), 200)


def _hidden_prefix(mark: Mark) -> str:
    return f"hidden check {mark.test}: " if mark.hidden else ""


def list_remarks(row: StudentRow) -> list[str]:
    """Return remarks on anything unusual about a student's mark."""
    remarks = ["mark set by hand"] if row.by_hand else []
    remarks += ["to review"] if row.needs_look else []
    return remarks + ([sanitize.line(row.trouble, 200)] if row.trouble else [])


def list_attention(summary: ClassSummary) -> list[str]:
    """Return what an instructor has to act on, one sentence each."""
    return [
        *(f"{_full_name(row)}: {sanitize.line(row.trouble, 400)}" for row in summary.without_mark),
        *(f"{_full_name(row)}: review this submission in the formgrader" for row in summary.to_review),
    ]


def list_verdicts(summary: ClassSummary) -> list[tuple[str, str, str]]:
    """Return rows of verdict, meaning and number of submissions."""
    return [(verdict, MEANINGS[Verdict(verdict)], str(count)) for verdict, count in summary.verdicts]


def list_students(summary: ClassSummary) -> list[tuple[str, ...]]:
    """Return rows of student, mark, points of the checks alone, lateness, verdict, seconds and remarks."""
    return [
        (
            _full_name(row),
            format_points(row.score) if row.score is not None else "no mark",
            format_points(row.checks) if row.checks is not None else "",
            f"{row.late} (minus {format_points(row.penalty)})" if row.penalty else row.late,
            row.verdict or ("" if row.handed_in else "nothing submitted"),
            f"{row.seconds:.0f}" if row.seconds else "",
            "; ".join(list_remarks(row)),
        )
        for row in summary.rows
    ]


def compute_histogram(bins: Sequence[int]) -> Histogram:
    """Return the histogram of ``bins``, one for each tenth of the points."""
    left, baseline, step, tallest = 26, 150, 59, 120
    most = max(1, *bins)
    bars = []
    for number, count in enumerate(bins):
        height = round(tallest * count / most)
        bars.append(
            Bar(x=left + number * step + 3, y=baseline - height, width=step - 6, height=height, count=count)
        )
    ticks = tuple((left + number * step, f"{10 * number} %") for number in range(0, len(bins) + 1, 2))
    ranges = [f"{10 * number} to {10 * number + 10} %: {count}" for number, count in enumerate(bins) if count]
    return Histogram(
        bars=tuple(bars),
        ticks=ticks,
        left=left,
        right=left + len(bins) * step,
        baseline=baseline,
        description="; ".join(ranges),
    )


def _full_name(row: StudentRow) -> str:
    name = sanitize.line(row.name, 80)
    return f"{name} ({row.student})" if name else row.student
