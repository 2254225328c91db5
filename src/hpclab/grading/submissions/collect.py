"""A source of submissions → receipts, and the outcome of each submission.

    collect(course, lab, source, kind, options) -> list[CollectOutcome]

One collection at a time in a course. Nothing in one submission can stop the next one.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hpclab import locks
from hpclab.errors import HpclabError, UsageError
from hpclab.grading import settings_file
from hpclab.grading.settings import Alias, Course, Student
from hpclab.grading.submissions import archives, ipynb, objects, platforms, receipt_text, sources, student_ids
from hpclab.grading.submissions.staging import Staging, Submission
from hpclab.grading.submissions.store import Receipt, Store

TAKEN, UNCHANGED, REFUSED = "taken", "unchanged", "refused"
AskStudent = Callable[[Submission, list[str]], str]  # called with similar ids; the answer is an id or empty


class CollectOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one submission. ``what``: taken, unchanged or refused."""

    label: str
    what: str
    why: str = ""
    student: str = ""
    receipt: Receipt | None = None
    late: str = ""


@dataclass(kw_only=True)
class CollectOptions:
    """The instructor's choices. ``received``: the time of submissions without one; None: now."""

    received: float | None = None
    add: bool = False  # add unknown students to the course
    worksheet: Path | None = None
    ask: AskStudent | None = None
    progress: Callable[[str, int, int], None] = lambda _label, _done, _of: None
    now: Callable[[], float] = time.time


def collect(
    course: Course, lab: str, source: Path, kind: str, options: CollectOptions
) -> list[CollectOutcome]:
    """Collect every version of ``lab`` in ``source``. ``kind`` is one of sources.KINDS, or "auto"."""
    student_ids.check_id(lab, what="lab")
    with (
        locks.held(course.folder / ".collect.lock", "another `hpclab collect` to finish", seconds=10),
        _open_workspace(course.folder) as workspace,
        _open_source(source, workspace, lab) as (folder, lost),
    ):
        kind = sources.detect(folder, lab) if kind == "auto" else kind
        return list(_Collection(course, lab, kind, options, workspace, lost).run(folder))


class _Collection:
    """One collection: the state that its submissions share."""

    def __init__(
        self,
        course: Course,
        lab: str,
        kind: str,
        options: CollectOptions,
        workspace: Path,
        lost: list[tuple[str, str]],
    ) -> None:
        self.course, self.lab, self.kind, self.options, self.workspace = course, lab, kind, options, workspace
        self.lost = lost  # entries of an archive that were left out, and why
        self.store = Store(course.folder)

    def run(self, folder: int) -> Iterator[CollectOutcome]:
        submissions = sources.KINDS[self.kind](folder, self.lab, self.course)
        self._require_time(submissions)
        for submission in submissions:
            submission.label = receipt_text.printable(submission.label)
        for name, why in self.lost:
            holder = next((other for other in submissions if name.split("/")[0] in other.holds), None)
            if holder:
                holder.notes.append(f"{student_ids.shown(name)} was not taken: {why}")
            else:
                yield CollectOutcome(label=receipt_text.printable(name), what=REFUSED, why=why)
        self._identify(submissions)
        for number, submission in enumerate(submissions):
            self.options.progress(submission.label, number, len(submissions))
            try:
                yield self._process(submission, number)
            except (HpclabError, OSError) as problem:
                why = problem.problem if isinstance(problem, HpclabError) else str(problem)
                yield CollectOutcome(
                    label=submission.label, student=submission.student, what=REFUSED, why=why
                )
            # An error in one submission must not stop the others.
            except Exception as surprise:
                why = f"an internal error, {type(surprise).__name__}: {str(surprise)[:200]}"
                yield CollectOutcome(
                    label=submission.label, student=submission.student, what=REFUSED, why=why
                )

    def _require_time(self, submissions: list[Submission]) -> None:
        """Require --received after the deadline: a late collection must not make submissions late. Raises UsageError."""
        due = self.course.due(self.lab, "")
        untimed = any(not submission.timed for submission in submissions)
        if untimed and self.options.received is None and due is not None and self.options.now() > due:
            raise UsageError(
                f"{self.lab} was due at {self.course.format_time(due)}, and this source doesn't say when it was submitted",
                "Give the time with --received TIME (for instance that of the download), or --received now.",
            )

    def _identify(self, submissions: list[Submission]) -> None:
        """Find the student of each submission, asking or adding if that is enabled; refuse two from one student."""
        students = (
            platforms.read_worksheet(self.options.worksheet, self.course) if self.options.worksheet else {}
        )
        new: list[Student | Alias] = []
        for submission in submissions:
            if submission.student or submission.why:
                continue
            if submission.lms and submission.lms in students:
                submission.student = students[submission.lms]
            else:
                self._identify_by_name(submission, new)
        if new:
            self.course = settings_file.add(self.course.folder, new)
        named = [
            submission.student for submission in submissions if submission.student and not submission.timed
        ]
        for submission in submissions:
            if not submission.timed and named.count(submission.student) > 1:
                submission.why = (
                    submission.why or f"two submissions in this source are from {submission.student}"
                )

    def _identify_by_name(self, submission: Submission, new: list[Student | Alias]) -> None:
        by_name = {person.name: person.id for person in self.course.students.values() if person.name}
        close = student_ids.near(submission.name, [*self.course.students, *by_name])
        close = list(dict.fromkeys(by_name.get(name, name) for name in close))
        if self.options.ask and (answer := self.options.ask(submission, close)):
            submission.student = self.course.student(answer).id
            if submission.lms:
                new.append(Alias(lms=submission.lms, student=submission.student))
            return
        if self.options.add and not submission.lms:
            self._add(submission, new)
            return
        student = (
            f"with the number {submission.lms}" if submission.lms else student_ids.shown(submission.name)
        )
        near = f"; similar: {', '.join(close)}" if close else ""
        submission.why = f"the course has no student {student}{near}"

    def _add(self, submission: Submission, new: list[Student | Alias]) -> None:
        """Add an unknown student under the source's name, if that is a valid id."""
        added = [person.id for person in new if isinstance(person, Student)]
        if submission.name not in added:
            why = student_ids.wrong_with(submission.name)
            if twin := student_ids.twins([*self.course.students, *added, submission.name]):
                why = f"the course has {twin[0][0]}, which differs in case alone"
            if why:
                submission.why = f"{student_ids.shown(submission.name)} cannot be added: {why}"
                return
            new.append(Student(id=submission.name))
        submission.student = submission.name

    def _process(self, submission: Submission, number: int) -> CollectOutcome:
        if submission.why:
            return CollectOutcome(
                label=submission.label, student=submission.student, what=REFUSED, why=submission.why
            )
        staging = Staging(self.workspace / str(number), first=f"{self.lab}.ipynb", owner=submission.owner)
        try:
            submission.stage(staging)
            return self._receive(submission, staging)
        finally:
            shutil.rmtree(staging.target, ignore_errors=True)

    def _receive(self, submission: Submission, staging: Staging) -> CollectOutcome:
        def outcome(what: str, why: str = "", receipt: Receipt | None = None) -> CollectOutcome:
            late = receipt_text.lateness(receipt, self.course) if receipt else ""
            return CollectOutcome(
                label=submission.label,
                student=submission.student,
                what=what,
                why=why,
                receipt=receipt,
                late=late,
            )

        if not staging.files:
            return outcome(REFUSED, "; ".join([*submission.notes, *staging.notes][:3]) or "it holds no files")
        renamed = self._rename(staging)
        source = f"{self.kind}: {submission.label}"
        if same := self._find_receipt(submission.student, staging.target, source, timed=submission.timed):
            receipt_text.write(same, self.course)  # an earlier crash may have left it unwritten
            return outcome(UNCHANGED, f"as in receipt {same.number}", same)
        when = self._received_at(submission, staging)
        closes = self.course.closes(self.lab, submission.student)
        if closes is not None and when > closes:
            return outcome(
                REFUSED,
                f"it was received at {self.course.format_time(when)}, and the lab closed at {self.course.format_time(closes)};"
                " to accept it, add an [[extension]]",
            )
        notes = (*submission.notes, *renamed, *self._check_notebook(staging), *staging.notes)
        receipt = self.store.receive(submission.student, self.lab, staging.target, source, when, notes)
        receipt_text.write(receipt, self.course)
        return outcome(TAKEN, "; ".join(receipt.notes), receipt)

    def _rename(self, staging: Staging) -> list[str]:
        """Rename the only notebook to LAB.ipynb: browsers and Canvas write "LAB (1).ipynb" or "LAB-1.ipynb"."""
        name = f"{self.lab}.ipynb"
        notebooks = [path for path in staging.files if path.endswith(".ipynb")]
        if name in staging.files or len(notebooks) != 1 or "/" in notebooks[0]:
            return []
        (staging.target / notebooks[0]).rename(staging.target / name)
        staging.files[name] = staging.files.pop(notebooks[0])
        return [f"{student_ids.shown(notebooks[0])} was kept as {name}"]

    def _received_at(self, submission: Submission, staging: Staging) -> float:
        """Return the time of receipt by the server's clock, at most now."""
        now = self.options.now()
        if submission.timed:
            return min(staging.changed, now)
        return now if self.options.received is None or submission.late else min(self.options.received, now)

    def _find_receipt(self, student: str, staged: Path, source: str, *, timed: bool) -> Receipt | None:
        """Return the receipt for the same content: that of the newest version, or one from the same place.

        The latter only for sources in which each version has its own place and time: elsewhere a student may have
        returned to an earlier version.
        """
        given = self.store.receipts(self.lab, student)
        if not given:
            return None
        name = objects.digest_of_folder(staged)
        newest = given[-1]
        if newest.hash == name:
            return newest
        return (
            next((receipt for receipt in given if (receipt.hash, receipt.source) == (name, source)), None)
            if timed
            else None
        )

    def _check_notebook(self, staging: Staging) -> list[str]:
        """Return a note for the student if no notebook can be read; grading decides."""
        notebooks = [path for path in staging.files if path.endswith(".ipynb")]
        if not notebooks:
            return ["there is no notebook in it"]
        if len(notebooks) > 1:
            return []
        try:
            ipynb.read((staging.target / notebooks[0]).read_bytes(), notebooks[0])
        except ipynb.BadInput as problem:
            return [f"it cannot be graded: {problem.problem}. {problem.remedy}".strip()]
        return []


@contextmanager
def _open_workspace(folder: Path) -> Iterator[Path]:
    """Create a private folder on the course's disk, after removing leftovers of a crash."""
    top = folder / ".staging"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir(mode=0o700)
    try:
        yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)


@contextmanager
def _open_source(path: Path, workspace: Path, lab: str) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Open the folder of a source; also yields the entries of an archive that were left out."""
    lost: list[tuple[str, str]] = []
    top = path
    if not path.exists():
        raise UsageError(f"{path} does not exist", "Name a folder, or an archive of submission.")
    if not path.is_dir():
        lost = list(archives.extract(path, workspace / "archive"))
        top = workspace / "archive"
        inner = list(top.iterdir())
        # An archive with a single folder stands for that folder, unless it is a student's.
        if len(inner) == 1 and inner[0].is_dir() and not (inner[0] / f"{lab}.ipynb").exists():
            top = inner[0]
            lost = [(name.removeprefix(f"{top.name}/"), why) for name, why in lost]
    elif (path / "inbound").is_dir():
        top = path / "inbound"  # for a course in nbgrader's exchange
    file = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield file, lost
    finally:
        os.close(file)
