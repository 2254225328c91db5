"""``settings.toml`` of a class: its time zone, deadlines, extensions, late policy and people.

    load(folder) -> Class
    Class.zone                    a ZoneInfo; times are kept in UTC and shown in it
    Class.student(id)             -> Student; UsageError with the nearest names
    Class.due(lab, student)       -> float | None: seconds since the epoch, the student's extension in it
    Class.closes(lab, student)    -> float | None: after that nothing is taken
    Class.shown(seconds)          -> "2026-03-02 23:59:00 CET (Europe/Berlin)"
    Class.late                    -> policy.Late, for policy.lateness

A time without an offset is meant in the class's zone. One that the clocks skip or pass twice there is
refused: nobody could tell which one was promised.
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
from hpclab.grading.lateness import Late
from hpclab.grading.submissions import student_ids

NAME = "settings.toml"
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Base: an unknown key is an error that names it."""


class LabTimes(Strict, frozen=True):
    """``[labs.NAME]``: from when, until when, and after when nothing is taken at all."""

    opens: datetime.datetime | None = None
    due: datetime.datetime | None = None
    closes: datetime.datetime | None = None


class Extension(Strict, frozen=True):
    """``[[extension]]``: another deadline for one student. The reason is for the record."""

    student: str
    lab: str
    until: datetime.datetime
    reason: Text


class Student(Strict, frozen=True):
    """``[[student]]``. The other names are how other systems call the same person; empty: as ``id``."""

    id: str
    name: str = ""
    email: str = ""
    account: str = ""  # of the operating system: whose folders these are
    hub: str = ""  # the JupyterHub's user name
    lms: str = ""  # the number in the names of files that Canvas or Moodle made


class Alias(Strict, frozen=True):
    """``[[alias]]``: one more id of the learning platform, written down when somebody was asked."""

    lms: str
    student: str


class Read(Strict, frozen=True):
    """The file as it is written."""

    title: Text
    zone: str
    labs: dict[str, LabTimes] = {}
    late: Late = Late()
    extension: list[Extension] = []
    student: list[Student] = []
    alias: list[Alias] = []


class Course:
    """One class: what its file says, checked."""

    def __init__(self, folder: Path, read: Read) -> None:
        self.folder = folder
        self.title = read.title
        self.zone = zone_called(read.zone)
        self.late = read.late
        self.labs = read.labs
        self.extensions = tuple(read.extension)
        self.students = {one.id: one for one in read.student}
        self._by_lms = {one.lms: one.id for one in read.student if one.lms}
        self._by_lms |= {one.lms: one.student for one in read.alias}
        self._by_account = {one.account or one.id: one.id for one in read.student}
        self._by_hub = {one.hub or one.id: one.id for one in read.student}

    def student(self, id: str) -> Student:
        """The student called ``id``. Raises UsageError with the nearest names."""
        if id not in self.students:
            close = student_ids.near(id, self.students)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise UsageError(
                f"there is no student {student_ids.shown(id)} in this class.{hint}",
                f"Add a [[student]] to {self.folder / NAME}, or let `hpclab collect --add` do it.",
            )
        return self.students[id]

    def by_lms(self, number: str) -> str | None:
        """Whom the learning platform calls ``number``."""
        return self._by_lms.get(number)

    def by_account(self, account: str) -> str | None:
        """Who has this account of the operating system."""
        return self._by_account.get(account)

    def by_name(self, name: str) -> str | None:
        """Who is meant by the name of a folder: an id, a Hub's user, an account. None if two could be."""
        if name in self.students:
            return name
        found = {who for who in (self._by_hub.get(name), self._by_account.get(name)) if who}
        return found.pop() if len(found) == 1 else None

    def opens(self, lab: str) -> float | None:
        """From when ``lab`` is there."""
        times = self.labs.get(lab)
        return self._seconds(times.opens) if times else None

    def due(self, lab: str, student: str) -> float | None:
        """Until when ``student`` may hand in ``lab`` without being late; None: there is no deadline."""
        times = self.labs.get(lab)
        due = self._seconds(times.due) if times else None
        return None if due is None else max(due, self._extended(lab, student) or due)

    def closes(self, lab: str, student: str) -> float | None:
        """After when nothing of ``student`` is taken; an extension beyond it moves it."""
        times = self.labs.get(lab)
        closes = self._seconds(times.closes) if times else None
        return None if closes is None else max(closes, self._extended(lab, student) or closes)

    def shown(self, seconds: float) -> str:
        """A time as people of this class read it, with the name of its zone."""
        there = datetime.datetime.fromtimestamp(seconds, self.zone)
        return f"{there:%Y-%m-%d %H:%M:%S %Z} ({self.zone.key})"

    def _extended(self, lab: str, student: str) -> float | None:
        found = [
            self._seconds(one.until) for one in self.extensions if (one.lab, one.student) == (lab, student)
        ]
        return max((one for one in found if one is not None), default=None)

    def _seconds(self, when: datetime.datetime | None) -> float | None:
        return None if when is None else moment(when, self.zone)


def load(folder: Path) -> Course:
    """Read and check ``folder/settings.toml``. Raises GradingError that names file, key and cure."""
    path = folder / NAME
    try:
        read = msgspec.toml.decode(path.read_bytes(), type=Read)
    except FileNotFoundError:
        raise GradingError(
            f"there is no class in {folder}: it has no {NAME}",
            f"Begin one with `hpclab course new {folder}`, or name another with --course FOLDER or HPCLAB_COURSE.",
        ) from None
    except OSError as problem:
        raise GradingError(f"{path} cannot be read: {problem.strerror}", "Check its permissions.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as problem:
        raise GradingError(f"{path}: {problem}", _remedy(str(problem))) from None
    if wrong := problems(read):
        more = f"\n{len(wrong) - 1} more: " + "; ".join(what for what, _ in wrong[1:]) if wrong[1:] else ""
        raise GradingError(f"{path}: {wrong[0][0]}{more}", wrong[0][1])
    return Course(folder, read)


def problems(read: Read) -> list[tuple[str, str]]:
    """What contradicts itself in a class's settings, each with a remedy."""
    found: list[tuple[str, str]] = []
    try:
        zone = zone_called(read.zone)
    except UsageError as problem:
        return [(problem.problem, problem.remedy)]
    ids = [one.id for one in read.student]
    for place, name in [("labs", name) for name in read.labs] + [("student", one) for one in ids]:
        if why := student_ids.wrong_with(name):
            found.append((f"{place}: {student_ids.shown(name)}: {why}", student_ids.RULE))
    found += [
        (f"student: {one} and {other} differ in case alone", "Give one of them another id.")
        for one, other in student_ids.twins(ids)
    ]
    for key, values in {
        "student.id": ids,
        "student.account": [one.account or one.id for one in read.student],
        "student.hub": [one.hub or one.id for one in read.student],
        "student.lms": [one.lms for one in read.student if one.lms] + [one.lms for one in read.alias],
    }.items():
        found += [
            (f"{key}: {student_ids.shown(one)} belongs to two students", "Give each of them their own.")
            for one in sorted({one for one in values if values.count(one) > 1})
        ]
    cited = [("extension", one.student, one.lab) for one in read.extension]
    cited += [("alias", one.student, "") for one in read.alias]
    for place, student, lab in cited:
        if student not in ids:
            found.append((f"{place}: there is no student {student_ids.shown(student)}", "Add a [[student]]."))
        if lab and lab not in read.labs:
            found.append((f"{place}: there is no lab {student_ids.shown(lab)}", f"Add [labs.{lab}]."))
    return found + _times(read, zone)


def _times(read: Read, zone: ZoneInfo) -> list[tuple[str, str]]:
    found = []
    named = {
        f"labs.{lab}.{key}": when
        for lab, times in read.labs.items()
        for key, when in msgspec.structs.asdict(times).items()
        if when is not None
    } | {f"extension[{number}].until": one.until for number, one in enumerate(read.extension)}
    for key, when in named.items():
        try:
            moment(when, zone)
        except UsageError as problem:
            found.append((f"{key}: {problem.problem}", problem.remedy))
    if not found:
        for lab, times in read.labs.items():
            order = [(key, when) for key, when in msgspec.structs.asdict(times).items() if when]
            found += [
                (f"labs.{lab}: it {_verb(later)} before it {_verb(earlier)}", "Put these times in order.")
                for (earlier, first), (later, second) in itertools.pairwise(order)
                if moment(second, zone) < moment(first, zone)
            ]
    return found


def _verb(key: str) -> str:
    return "is due" if key == "due" else key


def moment(when: datetime.datetime, zone: ZoneInfo) -> float:
    """``when`` in seconds since the epoch. Raises UsageError for a local time that is not one moment."""
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
def zone_called(name: str) -> ZoneInfo:
    """The time zone with this IANA name. Raises UsageError."""
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
