"""Sources of submissions → the submissions in them: the student, the time of receipt, and how to stage them.

    exchange   inbound folders STUDENT+LAB+TIME+RANDOM of nbgrader
    folders    FOLDER/STUDENT/..., also nbgrader's own submitted/STUDENT/LAB
    canvas     files that Canvas put into "Download Submissions"
    moodle     files or folders of Moodle's "Download all submissions"

*Student.* In an exchange: the folder's owner, as recorded by the operating system; the folder's name must
agree.
In folders: their names, for which their creator (a Hub, an instructor) is responsible. From a learning
platform: its
number, which the course's settings map to a student. Names that students chose themselves never count.

*Time.* In an exchange: the latest change (ctime) of the folder or anything in it. Its owner can set the
modification
time and the folder's name at will; the ctime comes from the file server and can only become later. Other
sources have
no trustworthy time: it is the time of collection, or the one that the instructor gives.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Callable, Mapping, Sequence

from hpclab.grading.settings import Course
from hpclab.grading.submissions import paths
from hpclab.grading.submissions.platforms import CANVAS_ANONYMOUS, CANVAS_NAME, list_canvas, list_moodle
from hpclab.grading.submissions.staging import (
    MOST_NAMES,
    Submission,
    list_folder,
    list_names,
    open_below,
    open_entry,
    stage_nothing,
    stage_tree,
)
from hpclab.grading.submissions.student_ids import shown


def detect(folder: int, lab: str) -> str:
    """Return the likely kind of source of an open folder."""
    names, _ = list_folder(folder, MOST_NAMES)
    if any(f"+{lab}+" in name for name in names):
        return "exchange"
    if any("_assignsubmission_" in name for name in names):
        return "moodle"
    canvas_names = [name for name in names if CANVAS_NAME.fullmatch(name) or CANVAS_ANONYMOUS.fullmatch(name)]
    if len(canvas_names) * 2 > len(names):
        return "canvas"
    return "folders"


def list_exchange(folder: int, lab: str, course: Course) -> list[Submission]:
    """Return the submissions in nbgrader's inbound folder: every version that was submitted."""
    submissions = []
    for name in list_names(folder):
        who, middle, rest = name.partition(f"+{lab}+")
        if not middle:
            continue
        submission = Submission(label=name, stage=stage_tree(folder, (name,)), name=who, timed=True)
        submissions.append(submission)
        try:
            with open_entry(name, os.O_PATH, folder) as handle:
                status = os.fstat(handle)
        except OSError as problem:
            submission.why = f"it cannot be opened: {problem.strerror}"
            continue
        if not stat.S_ISDIR(status.st_mode):
            submission.why = (
                "it is a link, not a folder" if stat.S_ISLNK(status.st_mode) else "it is not a folder"
            )
            continue
        submission.owner = status.st_uid
        account = _account(status.st_uid)
        owner = course.by_account(account) if account else None
        named = course.by_name(who)
        if not account:
            submission.why = f"its owner is uid {status.st_uid}, which has no account on this machine"
        elif owner and named == owner:
            submission.student = owner
        elif owner or named or account != who:
            submission.why = (
                f"its name says {shown(who)}, but it belongs to the account {shown(account)}"
                f"{f' ({owner})' if owner else ''}: the owner counts, and the two must agree"
            )
        if not submission.why:
            submission.notes += _note_claimed_time(rest)
    return submissions


def list_folders(folder: int, lab: str, course: Course) -> list[Submission]:
    """Return the submissions in folders of students, each with the lab's folder or notebook in it."""
    submissions = []
    for name in list_names(folder):
        if paths.ignored(name):
            continue
        submission = Submission(
            label=name, stage=stage_nothing, name=name, student=course.by_name(name) or "", holds={name}
        )
        submissions.append(submission)
        try:
            with open_below(folder, name) as inner:
                parts = _find_lab_folder(inner, lab)
        except NotADirectoryError:
            submission.why = "it is not a folder"
        except OSError as problem:
            submission.why = f"it cannot be opened: {problem.strerror}"
        else:
            submission.why = "" if parts is not None else f"there is no {lab}.ipynb in it"
            submission.stage = stage_tree(folder, (name, *(parts or ())))
    return submissions


def _find_lab_folder(folder: int, lab: str) -> Sequence[str] | None:
    """Return the path of ``lab`` in a student's folder: LAB, MODULE/LAB, or the folder itself; None if it is not there."""
    names, _ = list_folder(folder, MOST_NAMES)
    if _is_folder(folder, lab):
        return (lab,)
    if f"{lab}.ipynb" in names:
        return ()
    for name in sorted(names, key=os.fsencode):
        if not paths.ignored(name) and _is_folder(folder, name):
            with open_below(folder, name) as inner:
                if _is_folder(inner, lab):
                    return (name, lab)
    return () if any(name.endswith(".ipynb") for name in names) else None


def _is_folder(folder: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except (OSError, ValueError):
        return False


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _note_claimed_time(rest: str) -> list[str]:
    """Return a note with the time in an exchange folder's name, which the student can choose."""
    match = re.match(r"\d{4}-\d\d-\d\d[ _]\d\d:\d\d:\d\d", rest)
    return [f"its name says {match[0]} ({shown(rest[len(match[0]) :].strip()[:40])})"] if match else []


KINDS: Mapping[str, Callable[[int, str, Course], list[Submission]]] = {
    "exchange": list_exchange,
    "folders": list_folders,
    "canvas": list_canvas,
    "moodle": list_moodle,
}
