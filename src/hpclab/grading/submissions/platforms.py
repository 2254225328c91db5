"""Downloads from learning platforms. The platform's number identifies the student, never a name."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from hpclab.errors import UsageError
from hpclab.grading.settings import Course
from hpclab.grading.submissions import paths
from hpclab.grading.submissions.staging import Submission, list_names, stage_files, stage_nothing, stage_tree

# Canvas: sortable name, LATE, user, attachment, the student's name of the file.
CANVAS = re.compile(r"_(?=(\d+)_(\d+)_.)")
CANVAS_NAME = re.compile(r"(?P<who>.*?)(?:_(?P<late>LATE))?_(?P<user>\d+)_(?P<file>\d+)_(?P<name>.+)")
CANVAS_ANONYMOUS = re.compile(r"(?:LATE_)?anon_[A-Za-z0-9]+_\d+_.+")
# Moodle: full name (underscores replaced by spaces), participant number in this assignment, kind of
# submission.
MOODLE = re.compile(r"(?P<who>[^_]*)_(?P<user>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<name>.*))?")


def list_canvas(folder: int, _lab: str, course: Course) -> list[Submission]:
    """Return the submissions in Canvas' download of an assignment: files in one folder, with names of several parts."""
    by_user: dict[str, Submission] = {}
    files_by_user: dict[str, dict[str, str]] = {}
    refused = []
    for name in list_names(folder):
        if paths.ignored(name):
            continue
        readings = len(CANVAS.findall(name))
        match = CANVAS_NAME.fullmatch(name)
        if readings > 1:
            why = "its name is ambiguous: rename it so that it contains number_number only once"
        elif match is None and CANVAS_ANONYMOUS.fullmatch(name):
            why = "the assignment is graded anonymously: switch that off in Canvas and download again"
        elif match is None:
            why = "it is not named as Canvas names files"
        else:
            user = match["user"]
            submission = by_user.setdefault(
                user,
                Submission(
                    label=f"{match['who']} ({user})", stage=stage_nothing, name=match["who"], lms=user
                ),
            )
            submission.late |= bool(match["late"])
            submission.holds.add(name)
            files_by_user.setdefault(user, {})[name] = match["name"]
            continue
        refused.append(Submission(label=name, stage=stage_nothing, why=why))
    for user, submission in by_user.items():
        submission.student = course.by_lms(user) or ""
        submission.stage = stage_files(folder, files_by_user[user])
        if submission.late:
            submission.notes.append("Canvas marked it as late")
    return [*by_user.values(), *refused]


def list_moodle(folder: int, _lab: str, course: Course) -> list[Submission]:
    """Return the submissions in Moodle's download of an assignment: a folder for each student, or files in one folder."""
    by_user: dict[str, Submission] = {}
    flat: dict[str, dict[str, str]] = {}
    refused = []
    for name in list_names(folder):
        match = MOODLE.fullmatch(name)
        if paths.ignored(name) or (match and match["kind"] != "file"):
            continue  # text typed into Moodle has no notebook
        if match is None:
            refused.append(
                Submission(label=name, stage=stage_nothing, why="it is not named as Moodle names files")
            )
            continue
        user = match["user"]
        if user not in by_user:
            by_user[user] = Submission(
                label=f"{match['who']} ({user})",
                stage=stage_nothing,
                student=course.by_lms(user) or "",
                name=match["who"],
                lms=user,
            )
        by_user[user].holds.add(name)
        if match["name"]:
            flat.setdefault(user, {})[name] = match["name"]
        else:
            by_user[user].stage = stage_tree(folder, (name,))
    for user, given in flat.items():
        by_user[user].stage = stage_files(folder, given)
    return [*by_user.values(), *refused]


def read_worksheet(path: Path, course: Course) -> dict[str, str]:
    """Moodle's grading worksheet (CSV) → the student of each number in this assignment, by email address.

    The first column has the number, the second a name, which students can change. Raises UsageError.
    """
    addresses: dict[str, list[str]] = {}
    for person in course.students.values():
        if person.email:
            addresses.setdefault(person.email.casefold(), []).append(person.id)
    students = {}
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
            students[number[1]] = who.pop()
    if not students:
        raise UsageError(
            f"{path} names no student of this course",
            "It must be the grading worksheet of this assignment, and each [[student]] must have its email.",
        )
    return students
