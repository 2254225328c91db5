"""A result and the gradebook's scores → the content of a student's feedback, as plain values. Pure.

For a hidden test it has only fixed wording, whatever the result contains. All text written by the student has
passed through ``sanitize``; ``pages`` and ``feedback_text`` render it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from hpclab.grading import sanitize
from hpclab.grading.gradebook import StudentScores
from hpclab.grading.gradebook.plan import loses_points, task_of
from hpclab.grading.lateness import Lateness
from hpclab.grading.model import JobSeen, Lab, Mark, Result, Verdict
from hpclab.grading.reports import wording
from hpclab.grading.reports.cell_outputs import CellOutput, collect_outputs
from hpclab.grading.settings import Course

DrawTimeline = Callable[[Sequence[JobSeen]], tuple[bytes, str]]  # a PNG, and the same in words
ERROR_PATTERN = re.compile(
    r"(?i)error|traceback|exception|killed|cancelled|time limit|exceeded|denied|no such|not found|cannot|failed|abort"
)
HEADING = re.compile(r"(?m)^#{2,6} +(.+?) *#*$")
FENCE = re.compile(r"(?ms)^(`{3,}|~{3,}).*?^\1 *$")
MOST_JOBS = 40
UNTESTED = (Verdict.TAMPER, Verdict.BAD_INPUT, Verdict.SYSTEM_ERROR)  # verdicts without findings of tests


class CheckFinding(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one failed check. ``message`` is set where it has no ``found``."""

    found: str = ""
    expected: str = ""
    look: str = ""
    message: str = ""


class LabSection(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the lab, and its address in the book where the book's address is known."""

    title: str = ""
    address: str = ""


class TaskFeedback(msgspec.Struct, frozen=True, kw_only=True):
    """The feedback on one task."""

    name: str
    earned: float
    points: float
    findings: tuple[CheckFinding, ...] = ()
    by_hand: str = ""
    comments: tuple[str, ...] = ()
    section: LabSection = LabSection()

    @property
    def tone(self) -> str:
        return "good" if self.earned >= self.points else "part" if self.earned > 0 else "bad"

    @property
    def state(self) -> str:
        return {"good": "done", "part": "partly done", "bad": "not done yet"}[self.tone]


class FeedbackPage(msgspec.Struct, frozen=True, kw_only=True):
    """The whole feedback on one submission. ``timeline`` is a PNG, or empty."""

    course: str
    lab: str
    title: str
    student: str
    name: str
    verdict: wording.VerdictText
    problem: str
    score: float
    penalty: float
    points: float
    by_hand: bool
    received: str
    late: str
    deadline: str
    tasks: tuple[TaskFeedback, ...]
    notes: tuple[str, ...]
    timeline: bytes
    jobs: tuple[str, ...]
    log: str
    outputs: tuple[CellOutput, ...]
    receipt: int
    hash: str
    grader: str
    regrade: str = wording.REGRADE

    @property
    def final(self) -> float:
        """The mark after the penalty for being late."""
        return max(0.0, self.score - self.penalty)

    @property
    def share(self) -> float:
        """The mark as a share of all points, 0 to 1."""
        return min(1.0, self.final / self.points) if self.points > 0 else 0.0


def build_feedback(
    course: Course,
    lab: Lab,
    result: Result,
    scores: StudentScores,
    lateness: Lateness | None,
    *,
    now: float,
    book: str = "",
    draw_timeline: DrawTimeline | None = None,
) -> FeedbackPage:
    """Return the feedback on ``result``. ``scores`` come from the gradebook, with marks and comments set by hand."""
    student = result.task.student
    person = course.students.get(student)
    share = lateness.penalty_share if lateness else 0.0
    timeline, jobs = _describe_jobs(result.jobs[:MOST_JOBS], draw_timeline)
    problem = result.problem if result.verdict is Verdict.BAD_INPUT else ""
    return FeedbackPage(
        course=sanitize.line(course.title),
        lab=lab.name,
        title=sanitize.line(lab.title),
        student=student,
        name=sanitize.line(person.name) if person else "",
        verdict=wording.describe_verdict(result),
        problem=sanitize.text(problem, characters=2000),
        score=scores.score,
        penalty=share * scores.score,
        points=scores.points,
        by_hand=scores.by_hand,
        received=course.format_time(result.task.received),
        late=lateness.description if lateness else "no deadline",
        deadline=_describe_deadline(course, lab, student, now),
        tasks=tuple(_build_tasks(lab, result, scores, find_sections(lab, book))),
        notes=tuple(sanitize.line(note, 500) for note in result.notes),
        timeline=timeline,
        jobs=jobs,
        log=select_log_lines(sanitize.text(result.log)),
        outputs=tuple(collect_outputs(lab, result)),
        receipt=result.task.number,
        hash=result.task.hash,
        grader=sanitize.line(result.grader),
    )


def _build_tasks(
    lab: Lab, result: Result, scores: StudentScores, sections: Mapping[str, LabSection]
) -> list[TaskFeedback]:
    scores_by_test = {score.test: score for score in scores.tests}
    marks_by_test = {mark.test: mark for mark in result.marks}
    tasks = []
    for name in lab.task_names:
        tests = [test for test in lab.tests if test.task == name]
        task_scores = [scores_by_test[test.id] for test in tests if test.id in scores_by_test]
        by_hand = any(score.manual is not None or score.extra for score in task_scores)
        automatic = sum(score.auto or 0.0 for score in task_scores)
        marks = [marks_by_test[test.id] for test in tests if test.id in marks_by_test]
        comments = [text for cell, text in scores.comments.items() if task_of(cell, lab) == name]
        tasks.append(
            TaskFeedback(
                name=name,
                earned=sum(score.score for score in task_scores),
                points=sum(test.points for test in tests),
                findings=() if result.verdict in UNTESTED else _collect_findings(marks),
                by_hand=f"An instructor changed this mark; the checks alone gave {automatic:g}."
                if by_hand
                else "",
                comments=tuple(sanitize.text(text, characters=10_000) for text in comments),
                section=sections.get(name, LabSection()),
            )
        )
    return tasks


def _collect_findings(marks: Sequence[Mark]) -> tuple[CheckFinding, ...]:
    """Return what the failed checks report, without repetitions."""
    return tuple(dict.fromkeys(_describe_mark(mark) for mark in marks if loses_points(mark)))


def _describe_mark(mark: Mark) -> CheckFinding:
    if mark.hidden:
        return CheckFinding(message=wording.HIDDEN)
    found, expected, look, message = (
        sanitize.text(text, characters=4000) for text in (mark.found, mark.expected, mark.look, mark.said)
    )
    return CheckFinding(found=found, expected=expected, look=look, message="" if found else message)


def _describe_deadline(course: Course, lab: Lab, student: str, now: float) -> str:
    """Describe until when the lab can be submitted again."""
    due, closes = course.due(lab.name, student), course.closes(lab.name, student)
    if closes is not None and now > closes:
        return f"This lab closed at {course.format_time(closes)}; no more submissions are accepted."
    if due is not None and now <= due:
        return f"You can submit it again until {course.format_time(due)} without being late."
    until = f" until {course.format_time(closes)}" if closes is not None else ""
    late = ". It will count as late" if due is not None else ""
    return f"You can submit it again{until}{late}."


def _describe_jobs(jobs: Sequence[JobSeen], draw: DrawTimeline | None) -> tuple[bytes, tuple[str, ...]]:
    """Return the timeline of the student's jobs as a picture and in words. The student chose the names of the jobs."""
    sanitized = [
        msgspec.structs.replace(
            job,
            id=sanitize.line(job.id, 30),
            name=sanitize.line(job.name, 60),
            state=sanitize.line(job.state, 40),
        )
        for job in jobs
    ]
    if not sanitized or draw is None:
        return b"", tuple(f"{job.name} ({job.id}): {job.state}" for job in sanitized)
    picture, description = draw(sanitized)
    return picture, tuple(sanitize.line(line, 300) for line in description.splitlines())


def select_log_lines(log: str, most: int = 30) -> str:
    """Return the end of a log and, before it, the lines that mention an error; at most ``most`` lines."""
    lines = log.strip("\n").split("\n") if log.strip() else []
    if len(lines) <= most:
        return "\n".join(line[:500] for line in lines)
    last = set(range(len(lines) - most // 2, len(lines)))
    errors = [
        number for number, line in enumerate(lines) if number not in last and ERROR_PATTERN.search(line)
    ]
    kept = sorted(last | set(errors[-(most - len(last)) :]))
    selected: list[str] = []
    for before, number in zip([-1, *kept], kept, strict=False):
        if number != before + 1:
            selected.append("[…]")
        selected.append(lines[number][:500])
    return "\n".join(selected)


def find_sections(lab: Lab, book: str = "") -> dict[str, LabSection]:
    """Return, by task, the section of its first answer. ``book`` is the address of the course's book."""
    sections: dict[str, LabSection] = {}
    title = ""
    for cell in json.loads(lab.notebook)["cells"]:
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            headings = HEADING.findall(FENCE.sub("", source))
            title = headings[-1] if headings else title
            continue
        is_answer = cell["metadata"].get("nbgrader", {}).get("solution")
        if is_answer and (task := task_of(cell["id"], lab)):
            sections.setdefault(task, LabSection(title=title, address=_section_address(lab, title, book)))
    return sections


def _section_address(lab: Lab, title: str, book: str) -> str:
    if not book:
        return ""
    page = f"{book.rstrip('/')}/{lab.module}/{lab.name}.html"
    return f"{page}#{section_anchor(title)}" if title else page


def section_anchor(heading: str) -> str:
    """Return the id that the book gives a section: letters and digits, with no digit before the first letter."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-").lstrip("0123456789-")
