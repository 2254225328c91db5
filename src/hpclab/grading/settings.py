"""``settings.toml`` of a course: its time zone, deadlines, extensions, late policy and students.

    load(folder) -> Course
    Course.zone                   a ZoneInfo; times are stored in UTC and shown in it
    Course.student(id)            -> Student; UsageError with the nearest names
    Course.due(lab, student)      -> float | None: seconds since the epoch, including the student's extension
    Course.closes(lab, student)   -> float | None: later submissions are refused
    Course.format_time(seconds)         -> "2026-03-02 23:59:00 CET (Europe/Berlin)"
    Course.late                   -> LatePolicy, for lateness.lateness

A time without an offset is in the course's zone. A time that the clocks skip or pass twice there is refused,
because it is not one moment.
"""

from __future__ import annotations

import datetime
import functools
import itertools
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from hpclab.errors import GradingError, UsageError
from hpclab.grading.lateness import LatePolicy
from hpclab.grading.submissions import student_ids

NAME = "settings.toml"
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class SettingsTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Base class of the tables in the file: refuses unknown keys, by name."""


class LabTimes(SettingsTable, frozen=True):
    """``[labs.NAME]``: when a lab opens, is due, and closes."""

    opens: datetime.datetime | None = None
    due: datetime.datetime | None = None
    closes: datetime.datetime | None = None


class Extension(SettingsTable, frozen=True):
    """``[[extension]]``: a later deadline for one student, with the reason for the record."""

    student: str
    lab: str
    until: datetime.datetime
    reason: Text


class Student(SettingsTable, frozen=True):
    """``[[student]]``. The other names are those of other systems for the same person; empty: as ``id``."""

    id: str
    name: str = ""
    email: str = ""
    account: str = ""  # of the operating system: the owner of submitted folders
    hub: str = ""  # the JupyterHub's user name
    lms: str = ""  # the number in the names of files that Canvas or Moodle made


class Alias(SettingsTable, frozen=True):
    """``[[alias]]``: another id of the learning platform for a student, recorded when the instructor confirmed it."""

    lms: str
    student: str


class SettingsFile(SettingsTable, frozen=True):
    """The content of the file."""

    title: Text
    zone: str
    labs: dict[str, LabTimes] = {}
    late: LatePolicy = LatePolicy()
    extension: list[Extension] = []
    student: list[Student] = []
    alias: list[Alias] = []


class Course:
    """One course: the checked content of its settings file."""

    def __init__(self, folder: Path, read: SettingsFile) -> None:
        self.folder = folder
        self.title = read.title
        self.zone = find_zone(read.zone)
        self.late = read.late
        self.labs = read.labs
        self.extensions = tuple(read.extension)
        self.students = {student.id: student for student in read.student}
        self._by_lms = {student.lms: student.id for student in read.student if student.lms}
        self._by_lms |= {alias.lms: alias.student for alias in read.alias}
        self._by_account = {student.account or student.id: student.id for student in read.student}
        self._by_hub = {student.hub or student.id: student.id for student in read.student}

    def student(self, id: str) -> Student:
        """Return the student called ``id``. Raises UsageError with the nearest names."""
        if id not in self.students:
            close = student_ids.near(id, self.students)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise UsageError(
                f"there is no student {student_ids.shown(id)} in this course.{hint}",
                f"Add a [[student]] to {self.folder / NAME}, or let `hpclab collect --add` do it.",
            )
        return self.students[id]

    def by_lms(self, number: str) -> str | None:
        """Return the id of the student with this number in the learning platform."""
        return self._by_lms.get(number)

    def by_account(self, account: str) -> str | None:
        """Return the id of the student with this account of the operating system."""
        return self._by_account.get(account)

    def by_name(self, name: str) -> str | None:
        """Return the student that a folder's name means: an id, a Hub user or an account. None if it is ambiguous."""
        if name in self.students:
            return name
        ids = {id for id in (self._by_hub.get(name), self._by_account.get(name)) if id}
        return ids.pop() if len(ids) == 1 else None

    def opens(self, lab: str) -> float | None:
        """Return when ``lab`` opens."""
        times = self.labs.get(lab)
        return self._seconds(times.opens) if times else None

    def due(self, lab: str, student: str) -> float | None:
        """Return until when ``student`` may submit ``lab`` without being late; None: there is no deadline."""
        times = self.labs.get(lab)
        due = self._seconds(times.due) if times else None
        return None if due is None else max(due, self._extended(lab, student) or due)

    def closes(self, lab: str, student: str) -> float | None:
        """Return when ``lab`` closes for ``student``; an extension beyond that moves it."""
        times = self.labs.get(lab)
        closes = self._seconds(times.closes) if times else None
        return None if closes is None else max(closes, self._extended(lab, student) or closes)

    def format_time(self, seconds: float) -> str:
        """Return a time in the course's zone, with the zone's name."""
        local = datetime.datetime.fromtimestamp(seconds, self.zone)
        return f"{local:%Y-%m-%d %H:%M:%S %Z} ({self.zone.key})"

    def _extended(self, lab: str, student: str) -> float | None:
        untils = [
            to_epoch(extension.until, self.zone)
            for extension in self.extensions
            if (extension.lab, extension.student) == (lab, student)
        ]
        return max(untils, default=None)

    def _seconds(self, when: datetime.datetime | None) -> float | None:
        return None if when is None else to_epoch(when, self.zone)


def load(folder: Path) -> Course:
    """Read and check ``folder/settings.toml``. Raises GradingError that names file, key and remedy."""
    path = folder / NAME
    try:
        read = msgspec.toml.decode(path.read_bytes(), type=SettingsFile)
    except FileNotFoundError:
        raise GradingError(
            f"there is no course in {folder}: it has no {NAME}",
            f"Begin one with `hpclab course new {folder}`, or name another with --course FOLDER or HPCLAB_COURSE.",
        ) from None
    except OSError as problem:
        raise GradingError(f"{path} cannot be read: {problem.strerror}", "Check its permissions.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as problem:
        raise GradingError(f"{path}: {problem}", _remedy(str(problem))) from None
    if problems := find_problems(read):
        (what, remedy), *others = problems
        more = f"\n{len(others)} more: " + "; ".join(other for other, _ in others) if others else ""
        raise GradingError(f"{path}: {what}{more}", remedy)
    return Course(folder, read)


def find_problems(read: SettingsFile) -> list[tuple[str, str]]:
    """Return contradictions in a course's settings, each with a remedy."""
    problems: list[tuple[str, str]] = []
    try:
        zone = find_zone(read.zone)
    except UsageError as problem:
        return [(problem.problem, problem.remedy)]
    ids = [student.id for student in read.student]
    for place, name in [("labs", name) for name in read.labs] + [("student", id) for id in ids]:
        if why := student_ids.wrong_with(name):
            problems.append((f"{place}: {student_ids.shown(name)}: {why}", student_ids.RULE))
    problems += [
        (f"student: {first} and {second} differ in case alone", "Give one of them another id.")
        for first, second in student_ids.twins(ids)
    ]
    for key, values in {
        "student.id": ids,
        "student.account": [student.account or student.id for student in read.student],
        "student.hub": [student.hub or student.id for student in read.student],
        "student.lms": [student.lms for student in read.student if student.lms]
        + [alias.lms for alias in read.alias],
    }.items():
        problems += [
            (f"{key}: {student_ids.shown(value)} belongs to two students", "Give each of them their own.")
            for value in sorted({value for value in values if values.count(value) > 1})
        ]
    cited = [("extension", extension.student, extension.lab) for extension in read.extension]
    cited += [("alias", alias.student, "") for alias in read.alias]
    for place, student, lab in cited:
        if student not in ids:
            problems.append(
                (f"{place}: there is no student {student_ids.shown(student)}", "Add a [[student]].")
            )
        if lab and lab not in read.labs:
            problems.append((f"{place}: there is no lab {student_ids.shown(lab)}", f"Add [labs.{lab}]."))
    return problems + _find_time_problems(read, zone)


def _find_time_problems(read: SettingsFile, zone: ZoneInfo) -> list[tuple[str, str]]:
    problems = []
    times_by_key = {
        f"labs.{lab}.{key}": when
        for lab, times in read.labs.items()
        for key, when in msgspec.structs.asdict(times).items()
        if when is not None
    } | {f"extension[{number}].until": extension.until for number, extension in enumerate(read.extension)}
    for key, when in times_by_key.items():
        try:
            to_epoch(when, zone)
        except UsageError as problem:
            problems.append((f"{key}: {problem.problem}", problem.remedy))
    if not problems:
        for lab, times in read.labs.items():
            order = [(key, when) for key, when in msgspec.structs.asdict(times).items() if when]
            problems += [
                (f"labs.{lab}: it {_verb(later)} before it {_verb(earlier)}", "Put these times in order.")
                for (earlier, first), (later, second) in itertools.pairwise(order)
                if to_epoch(second, zone) < to_epoch(first, zone)
            ]
    return problems


def _verb(key: str) -> str:
    return "is due" if key == "due" else key


def to_epoch(when: datetime.datetime, zone: ZoneInfo) -> float:
    """Return ``when`` in seconds since the epoch. Raises UsageError for an ambiguous or nonexistent local time."""
    if when.tzinfo is not None:
        return when.timestamp()
    first, second = (when.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first.timestamp()
    back = datetime.datetime.fromtimestamp(first.timestamp(), zone).replace(tzinfo=None)
    what = "comes twice" if back == when else "is skipped"
    raise UsageError(
        f"{when.isoformat(sep=' ')} {what} in {zone.key}, where the clocks change that day",
        f"Write it with its offset, for instance {first.isoformat()}.",
    )


@functools.cache
def find_zone(name: str) -> ZoneInfo:
    """Return the time zone with this IANA name. Raises UsageError."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise UsageError(
            f"zone: there is no time zone {student_ids.shown(name)}",
            'Use an IANA name such as "Europe/Berlin", "America/Los_Angeles" or "UTC".',
        ) from None


def _remedy(problem: str) -> str:
    if "unknown field" in problem:
        return "See the page `class` of the book for the keys there are (book/reference/class.md)."
    if "datetime" in problem or "RFC3339" in problem:
        return "Write a day and a time without quotes, for instance due = 2026-03-02T23:59:59"
    return "Compare it with what `hpclab course new FOLDER` writes."
