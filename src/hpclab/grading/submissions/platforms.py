"""Downloads from learning platforms: the platform's number says whose it is, never a name or a file's name."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from hpclab.errors import UsageError
from hpclab.grading.settings import Course
from hpclab.grading.submissions import paths
from hpclab.grading.submissions.incoming import Found, files, names, nothing, tree

# Canvas: sortable name, LATE, user, attachment, the learner's own name of the file.
CANVAS = re.compile(r"_(?=(\d+)_(\d+)_.)")
CANVAS_NAME = re.compile(r"(?P<who>.*?)(?:_(?P<late>LATE))?_(?P<user>\d+)_(?P<file>\d+)_(?P<name>.+)")
CANVAS_ANONYMOUS = re.compile(r"(?:LATE_)?anon_[A-Za-z0-9]+_\d+_.+")
# Moodle: full name (its underscores made blanks), number of the person in this assignment, kind of submission.
MOODLE = re.compile(r"(?P<who>[^_]*)_(?P<user>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<name>.*))?")


def canvas(folder: int, _lab: str, course: Course) -> list[Found]:
    """What Canvas made of an assignment's submissions: files in one folder, their names made of several parts."""
    by_user: dict[str, Found] = {}
    whose: dict[str, dict[str, str]] = {}
    odd = []
    for name in names(folder):
        if paths.ignored(name):
            continue
        readings = len(CANVAS.findall(name))
        match = CANVAS_NAME.fullmatch(name)
        if readings > 1:
            why = "its name can be read in more than one way: rename it so that only one number_number stands in it"
        elif match is None and CANVAS_ANONYMOUS.fullmatch(name):
            why = "the assignment is marked anonymously: switch that off in Canvas and download again"
        elif match is None:
            why = "Canvas does not name files so"
        else:
            user = match["user"]
            one = by_user.setdefault(
                user,
                Found(label=f"{match['who']} ({user})", stage=nothing, name=match["who"], lms=user),
            )
            one.late |= bool(match["late"])
            one.holds.add(name)
            whose.setdefault(user, {})[name] = match["name"]
            continue
        odd.append(Found(label=name, stage=nothing, why=why))
    for user, one in by_user.items():
        one.student = course.by_lms(user) or ""
        one.stage = files(folder, whose[user])
        if one.late:
            one.notes.append("Canvas marked it as late")
    return [*by_user.values(), *odd]


def moodle(folder: int, _lab: str, course: Course) -> list[Found]:
    """What Moodle made of an assignment's submissions: a folder a person, or files in one folder."""
    by_user: dict[str, Found] = {}
    flat: dict[str, dict[str, str]] = {}
    odd = []
    for name in names(folder):
        match = MOODLE.fullmatch(name)
        if paths.ignored(name) or (match and match["kind"] != "file"):
            continue  # texts typed into Moodle hold no notebook
        if match is None:
            odd.append(Found(label=name, stage=nothing, why="Moodle does not name files so"))
            continue
        user = match["user"]
        if user not in by_user:
            by_user[user] = Found(
                label=f"{match['who']} ({user})",
                stage=nothing,
                student=course.by_lms(user) or "",
                name=match["who"],
                lms=user,
            )
        by_user[user].holds.add(name)
        if match["name"]:
            flat.setdefault(user, {})[name] = match["name"]
        else:
            by_user[user].stage = tree(folder, (name,))
    for user, given in flat.items():
        by_user[user].stage = files(folder, given)
    return [*by_user.values(), *odd]


def worksheet(path: Path, course: Course) -> dict[str, str]:
    """Moodle's grading worksheet (CSV): the number of a person in this assignment → the student with this address.

    The first column holds the number, the second a name that people can change; only addresses count. Raises UsageError.
    """
    addresses: dict[str, list[str]] = {}
    for one in course.students.values():
        if one.email:
            addresses.setdefault(one.email.casefold(), []).append(one.id)
    found = {}
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise UsageError(f"{path}: {problem}", "Give the grading worksheet as Moodle wrote it.") from None
    for row in rows[1:]:
        number = re.search(r"(\d+)$", row[0]) if row else None
        who = {
            student
            for cell in row[2:]
            if "@" in cell
            for student in addresses.get(cell.strip().casefold(), [])
        }
        if number and len(who) == 1:
            found[number[1]] = who.pop()
    if not found:
        raise UsageError(
            f"{path} names nobody of this class",
            "It must be the grading worksheet of this assignment, and each [[student]] must have its email.",
        )
    return found
