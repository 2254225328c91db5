"""A source → receipts, one submission after the other; what became of each.

    collect(course, lab, source, kind, how) -> list[Outcome]

One collection at a time in a class. Nothing that one submission holds stops the next one.
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
from hpclab.grading.submissions.incoming import Found
from hpclab.grading.submissions.staging import Staging
from hpclab.grading.submissions.store import Receipt, Store

TAKEN, UNCHANGED, REFUSED = "taken", "unchanged", "refused"
Ask = Callable[[Found, list[str]], str]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one submission. ``what``: taken, unchanged or refused."""

    label: str
    what: str
    why: str = ""
    student: str = ""
    receipt: Receipt | None = None
    late: str = ""


@dataclass(kw_only=True)
class How:
    """What the collector decides. ``received``: the time of what comes without one; None: now."""

    received: float | None = None
    add: bool = False  # take students whom the class does not know yet
    worksheet: Path | None = None
    ask: Ask | None = None
    progress: Callable[[str, int, int], None] = lambda _label, _done, _of: None
    now: Callable[[], float] = time.time


def collect(course: Course, lab: str, source: Path, kind: str, how: How) -> list[Outcome]:
    """Take every version of ``lab`` that ``source`` shows. ``kind`` is one of sources.KINDS, or "auto"."""
    student_ids.check_id(lab, what="lab")
    with (
        locks.held(course.folder / ".collect.lock", "another `hpclab collect` to finish", seconds=10),
        _workplace(course.folder) as aside,
        _source(source, aside, lab) as (folder, lost),
    ):
        kind = sources.detect(folder, lab) if kind == "auto" else kind
        return list(_Collection(course, lab, kind, how, aside, lost).all(folder))


class _Collection:
    """One run: what all submissions of it share."""

    def __init__(
        self, course: Course, lab: str, kind: str, how: How, aside: Path, lost: list[tuple[str, str]]
    ) -> None:
        self.course, self.lab, self.kind, self.how, self.aside = course, lab, kind, how, aside
        self.lost = lost  # of an archive: what was left out, and why
        self.store = Store(course.folder)

    def all(self, folder: int) -> Iterator[Outcome]:
        found = sources.KINDS[self.kind](folder, self.lab, self.course)
        self._demand_a_time(found)
        for one in found:
            one.label = receipt_text.printable(
                one.label
            )  # from now on it is text for people, whatever bytes it was
        for name, why in self.lost:
            whose = next((one for one in found if name.split("/")[0] in one.holds), None)
            if whose:
                whose.notes.append(f"{student_ids.shown(name)} was not taken: {why}")
            else:
                yield Outcome(label=receipt_text.printable(name), what=REFUSED, why=why)
        self._identify(found)
        for number, one in enumerate(found):
            self.how.progress(one.label, number, len(found))
            try:
                yield self._one(one, number)
            except (HpclabError, OSError) as problem:
                why = problem.problem if isinstance(problem, HpclabError) else str(problem)
                yield Outcome(label=one.label, student=one.student, what=REFUSED, why=why)
            # Whatever one of them holds, it keeps nobody else from being received.
            except Exception as surprise:
                why = f"an error of the course's own, {type(surprise).__name__}: {str(surprise)[:200]}"
                yield Outcome(label=one.label, student=one.student, what=REFUSED, why=why)

    def _demand_a_time(self, found: list[Found]) -> None:
        """Late only because it was collected late would be unfair: somebody has to say what holds."""
        due = self.course.due(self.lab, "")
        untimed = any(not one.timed for one in found)
        if untimed and self.how.received is None and due is not None and self.how.now() > due:
            raise UsageError(
                f"{self.lab} was due at {self.course.shown(due)}, and nothing here tells when these were handed in",
                "Say it with --received TIME (for instance when the download was made), or --received now.",
            )

    def _identify(self, found: list[Found]) -> None:
        """Find the student of each submission, ask or add where that is wanted, and let nobody stand for two."""
        known = platforms.worksheet(self.how.worksheet, self.course) if self.how.worksheet else {}
        new: list[Student | Alias] = []
        for one in found:
            if one.student or one.why:
                continue
            if one.lms and one.lms in known:
                one.student = known[one.lms]
            else:
                self._stranger(one, new)
        if new:
            self.course = settings_file.add(self.course.folder, new)
        named = [one.student for one in found if one.student and not one.timed]
        for one in found:
            if not one.timed and named.count(one.student) > 1:
                one.why = one.why or f"two submissions here are said to be from {one.student}"

    def _stranger(self, one: Found, new: list[Student | Alias]) -> None:
        by_name = {person.name: person.id for person in self.course.students.values() if person.name}
        close = student_ids.near(one.name, [*self.course.students, *by_name])
        close = list(dict.fromkeys(by_name.get(name, name) for name in close))
        if self.how.ask and (answer := self.how.ask(one, close)):
            one.student = self.course.student(answer).id
            if one.lms:
                new.append(Alias(lms=one.lms, student=one.student))
            return
        if self.how.add and not one.lms:
            self._add(one, new)
            return
        whom = f"with the number {one.lms}" if one.lms else student_ids.shown(one.name)
        near = f"; near: {', '.join(close)}" if close else ""
        one.why = f"the class knows no student {whom}{near}"

    def _add(self, one: Found, new: list[Student | Alias]) -> None:
        """A student whom the class does not know yet, called as the source calls them, if that can be an id."""
        added = [person.id for person in new if isinstance(person, Student)]
        if one.name not in added:
            why = student_ids.wrong_with(one.name)
            if twin := student_ids.twins([*self.course.students, *added, one.name]):
                why = f"the class has {twin[0][0]}, which differs in case alone"
            if why:
                one.why = f"{student_ids.shown(one.name)} cannot be added: {why}"
                return
            new.append(Student(id=one.name))
        one.student = one.name

    def _one(self, one: Found, number: int) -> Outcome:
        if one.why:
            return Outcome(label=one.label, student=one.student, what=REFUSED, why=one.why)
        staging = Staging(self.aside / str(number), first=f"{self.lab}.ipynb", owner=one.owner)
        try:
            one.stage(staging)
            return self._receive(one, staging)
        finally:
            shutil.rmtree(staging.target, ignore_errors=True)

    def _receive(self, one: Found, staging: Staging) -> Outcome:
        def outcome(what: str, why: str = "", receipt: Receipt | None = None) -> Outcome:
            late = receipt_text.lateness(receipt, self.course) if receipt else ""
            return Outcome(
                label=one.label, student=one.student, what=what, why=why, receipt=receipt, late=late
            )

        if not staging.files:
            return outcome(REFUSED, "; ".join([*one.notes, *staging.notes][:3]) or "it holds no files")
        renamed = self._rename(staging)
        source = f"{self.kind}: {one.label}"
        if same := self._already(one.student, staging.target, source, timed=one.timed):
            receipt_text.write(same, self.course)  # a crash may have come before
            return outcome(UNCHANGED, f"as in receipt {same.number}", same)
        when = self._when(one, staging)
        closes = self.course.closes(self.lab, one.student)
        if closes is not None and when > closes:
            return outcome(
                REFUSED,
                f"it came at {self.course.shown(when)}, and the lab closed at {self.course.shown(closes)};"
                " if it shall count, give an [[extension]]",
            )
        notes = (*one.notes, *renamed, *self._look(staging), *staging.notes)
        receipt = self.store.receive(one.student, self.lab, staging.target, source, when, notes)
        receipt_text.write(receipt, self.course)
        return outcome(TAKEN, "; ".join(receipt.notes), receipt)

    def _rename(self, staging: Staging) -> list[str]:
        """Browsers and Canvas write "LAB (1).ipynb" or "LAB-1.ipynb": the only notebook there is gets its name back."""
        name = f"{self.lab}.ipynb"
        there = [path for path in staging.files if path.endswith(".ipynb")]
        if name in staging.files or len(there) != 1 or "/" in there[0]:
            return []
        (staging.target / there[0]).rename(staging.target / name)
        staging.files[name] = staging.files.pop(there[0])
        return [f"{student_ids.shown(there[0])} was kept as {name}"]

    def _when(self, one: Found, staging: Staging) -> float:
        """By the server's clock; nothing was handed in later than now."""
        now = self.how.now()
        if one.timed:
            return min(staging.changed, now)
        return now if self.how.received is None or one.late else min(self.how.received, now)

    def _already(self, student: str, staged: Path, source: str, *, timed: bool) -> Receipt | None:
        """The receipt for this content: the one that counts, or one from the very same place.

        Only where each version has a place and a time of its own; elsewhere it may be a return to an earlier one.
        """
        given = self.store.receipts(self.lab, student)
        if not given:
            return None
        name = objects.digest_of_folder(staged)
        latest = given[-1]
        if latest.hash == name:
            return latest
        return (
            next((one for one in given if (one.hash, one.source) == (name, source)), None) if timed else None
        )

    def _look(self, staging: Staging) -> list[str]:
        """An early word for the student where no notebook can be read; marking looks again, and decides."""
        notebooks = [path for path in staging.files if path.endswith(".ipynb")]
        if not notebooks:
            return ["there is no notebook in it"]
        if len(notebooks) > 1:
            return []
        try:
            ipynb.read((staging.target / notebooks[0]).read_bytes(), notebooks[0])
        except ipynb.BadInput as problem:
            return [f"it cannot be marked: {problem.problem}. {problem.remedy}".strip()]
        return []


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A folder of our own on the class's disk; what a crash left of an earlier one goes."""
    top = folder / ".staging"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir(mode=0o700)
    try:
        yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)


@contextmanager
def _source(path: Path, aside: Path, lab: str) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """The open folder of a source, and what of an archive was left out."""
    lost: list[tuple[str, str]] = []
    top = path
    if not path.exists():
        raise UsageError(f"{path} does not exist", "Name a folder, or an archive of one.")
    if not path.is_dir():
        lost = list(archives.extract(path, aside / "archive"))
        top = aside / "archive"
        inner = list(top.iterdir())
        # An archive of one folder: that is what was meant, unless the folder is a student's.
        if len(inner) == 1 and inner[0].is_dir() and not (inner[0] / f"{lab}.ipynb").exists():
            top = inner[0]
            lost = [(name.removeprefix(f"{top.name}/"), why) for name, why in lost]
    elif (path / "inbound").is_dir():
        top = path / "inbound"  # of nbgrader's exchange for one course
    file = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield file, lost
    finally:
        os.close(file)
