"""A result and what the gradebook says → everything that a learner is told, as plain values. Pure.

Nothing of a hidden test is in it but fixed words, whatever the result holds. All of the learner's own text has gone
through ``harmless``; how it is set, as HTML or as text, is for others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from hpclab.grading import sanitize
from hpclab.grading.gradebook import Standing
from hpclab.grading.gradebook.plan import lost, task_of
from hpclab.grading.lateness import Lateness
from hpclab.grading.model import JobSeen, Lab, Mark, Result, Verdict
from hpclab.grading.reports import wording
from hpclab.grading.reports.printed import Printed, printed
from hpclab.grading.reports.sections import Place, order, places
from hpclab.grading.settings import Course

Timeline = Callable[[Sequence[JobSeen]], tuple[bytes, str]]  # a PNG, and the same in words
TELLING = re.compile(
    r"(?i)error|traceback|exception|killed|cancelled|time limit|exceeded|denied|no such|not found|cannot|failed|abort"
)
MOST_JOBS = 40


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check that did not pass has to say."""

    found: str = ""
    expected: str = ""
    look: str = ""
    said: str = ""


class TaskTold(msgspec.Struct, frozen=True, kw_only=True):
    """One task."""

    name: str
    earned: float
    points: float
    findings: tuple[Finding, ...] = ()
    by_hand: str = ""
    comments: tuple[str, ...] = ()
    place: Place = Place()

    @property
    def tone(self) -> str:
        return "good" if self.earned >= self.points else "part" if self.earned > 0 else "bad"

    @property
    def state(self) -> str:
        return {"good": "done", "part": "partly done", "bad": "not done yet"}[self.tone]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    course: str
    lab: str
    title: str
    student: str
    name: str
    said: wording.Said
    problem: str
    score: float
    penalty: float
    points: float
    by_hand: bool
    received: str
    late: str
    deadline: str
    tasks: tuple[TaskTold, ...]
    notes: tuple[str, ...]
    timeline: bytes
    jobs: tuple[str, ...]
    log: str
    printed: tuple[Printed, ...]
    receipt: int
    hash: str
    grader: str
    regrade: str = wording.REGRADE

    @property
    def final(self) -> float:
        return max(0.0, self.score - self.penalty)


def told(
    course: Course,
    lab: Lab,
    result: Result,
    standing: Standing,
    lateness: Lateness | None,
    *,
    now: float,
    book: str = "",
    timeline: Timeline | None = None,
) -> Told:
    """What ``result``'s student is told. ``standing`` is the gradebook's word, with what a person set by hand."""
    student = result.task.student
    person = course.students.get(student)
    share = lateness.penalty_share if lateness else 0.0
    drawn, jobs = _jobs(result.jobs[:MOST_JOBS], timeline)
    problem = result.problem if result.verdict is Verdict.BAD_INPUT else ""
    return Told(
        course=sanitize.line(course.title),
        lab=lab.name,
        title=sanitize.line(lab.title),
        student=student,
        name=sanitize.line(person.name) if person else "",
        said=wording.verdict(result),
        problem=sanitize.text(problem, characters=2000),
        score=standing.score,
        penalty=share * standing.score,
        points=standing.points,
        by_hand=standing.by_hand,
        received=course.shown(result.task.received),
        late=_late(lateness),
        deadline=_again(course, lab, student, now),
        tasks=tuple(_tasks(lab, result, standing, places(lab, book))),
        notes=tuple(sanitize.line(note, 500) for note in result.notes),
        timeline=drawn,
        jobs=jobs,
        log=relevant(sanitize.text(result.log)),
        printed=tuple(printed(lab, result)),
        receipt=result.task.number,
        hash=result.task.hash,
        grader=sanitize.line(result.grader),
    )


def _tasks(lab: Lab, result: Result, standing: Standing, where: Mapping[str, Place]) -> list[TaskTold]:
    parts = {part.test: part for part in standing.parts}
    marks = {mark.test: mark for mark in result.marks}
    found = []
    for task in order(lab):
        tests = [test for test in lab.tests if test.task == task]
        mine = [parts[test.id] for test in tests if test.id in parts]
        hand = [part for part in mine if part.manual is not None or part.extra]
        before = sum(part.auto or 0.0 for part in mine)
        comments = [text for cell, text in standing.comments.items() if task_of(cell, lab) == task]
        found.append(
            TaskTold(
                name=task,
                earned=sum(part.score for part in mine),
                points=sum(test.points for test in tests),
                findings=tuple(_findings([marks[test.id] for test in tests if test.id in marks], result)),
                by_hand=f"A person changed this mark; the checks alone gave {before:g}." if hand else "",
                comments=tuple(sanitize.text(text, characters=10_000) for text in comments),
                place=where.get(task, Place()),
            )
        )
    return found


def _findings(marks: Sequence[Mark], result: Result) -> list[Finding]:
    if result.verdict in (Verdict.TAMPER, Verdict.BAD_INPUT, Verdict.SYSTEM_ERROR):
        return []  # no test has spoken
    found = []
    for mark in marks:
        if not lost(mark):
            continue
        if mark.hidden:
            found.append(Finding(said=wording.HIDDEN))
        else:
            fields = {
                name: sanitize.text(getattr(mark, name), characters=4000)
                for name in ("found", "expected", "look")
            }
            said = sanitize.text(mark.said, characters=4000)
            found.append(Finding(said=said if not fields["found"] else "", **fields))
    return list(dict.fromkeys(found)) if found else []


def _late(lateness: Lateness | None) -> str:
    return lateness.words if lateness else "no deadline"


def _again(course: Course, lab: Lab, student: str, now: float) -> str:
    """Until when it may be handed in again."""
    due, closes = course.due(lab.name, student), course.closes(lab.name, student)
    if closes is not None and now > closes:
        return f"This lab closed at {course.shown(closes)}: nothing more is taken."
    if due is not None and now <= due:
        return f"You can hand it in again until {course.shown(due)} without being late."
    until = f", until {course.shown(closes)}" if closes is not None else ""
    return (
        f"You can hand it in again{until}, late." if due is not None else f"You can hand it in again{until}."
    )


def _jobs(jobs: Sequence[JobSeen], timeline: Timeline | None) -> tuple[bytes, tuple[str, ...]]:
    """The picture, and the same in words; names of jobs are the learner's."""
    tame = [
        msgspec.structs.replace(
            job,
            id=sanitize.line(job.id, 30),
            name=sanitize.line(job.name, 60),
            state=sanitize.line(job.state, 40),
        )
        for job in jobs
    ]
    if not tame or timeline is None:
        return b"", tuple(f"{job.name} ({job.id}): {job.state}" for job in tame)
    drawn, said = timeline(tame)
    return drawn, tuple(sanitize.line(one, 300) for one in said.splitlines())


def relevant(log: str, most: int = 30) -> str:
    """The lines of a log that tell most: its end, and before it those that speak of errors."""
    lines = log.strip("\n").split("\n") if log.strip() else []
    if len(lines) <= most:
        return "\n".join(line[:500] for line in lines)
    last = set(range(len(lines) - most // 2, len(lines)))
    telling = [at for at, line in enumerate(lines) if at not in last and TELLING.search(line)]
    kept = sorted(last | set(telling[-(most - len(last)) :]))
    shown: list[str] = []
    for before, at in zip([-1, *kept], kept, strict=False):
        if at != before + 1:
            shown.append("[…]")
        shown.append(lines[at][:500])
    return "\n".join(shown)
