"""Where submissions come from → a list of what is there: who, when, and how to stage it.

    exchange   inbound folders STUDENT+LAB+TIME+RANDOM of nbgrader
    folders    FOLDER/STUDENT/..., also nbgrader's own submitted/STUDENT/LAB
    canvas     files that Canvas put into "Download Submissions"
    moodle     files or folders of Moodle's "Download all submissions"

*Who.* Of an exchange: the owner of the folder, which the operating system wrote down; its name must say the same.
Of folders: their names, which whoever made the folders (a Hub, a person) answers for. Of a learning platform: its
number of the person, which only the class's settings turn into a student. Names that people gave themselves never count.

*When.* Of an exchange: the latest change (ctime) of the folder or of anything in it. Its owner can set what a file
says of its modification, and the name of the folder, to any time; the ctime is the file server's and can only be made later.
Elsewhere nothing tells a time that can be trusted: it is the time of collection, or the one that the collector gives.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Callable, Mapping, Sequence

from hpclab.grading.settings import Course
from hpclab.grading.submissions import paths
from hpclab.grading.submissions.incoming import MOST, Found, names, nothing, tree
from hpclab.grading.submissions.platforms import CANVAS_ANONYMOUS, CANVAS_NAME, canvas, moodle
from hpclab.grading.submissions.staging import below, listing, opened
from hpclab.grading.submissions.student_ids import shown


def detect(folder: int, lab: str) -> str:
    """Which kind of source an open folder looks like."""
    there, _ = listing(folder, MOST)
    if any(f"+{lab}+" in name for name in there):
        return "exchange"
    if any("_assignsubmission_" in name for name in there):
        return "moodle"
    if sum(bool(CANVAS_NAME.fullmatch(name) or CANVAS_ANONYMOUS.fullmatch(name)) for name in there) * 2 > len(
        there
    ):
        return "canvas"
    return "folders"


def exchange(folder: int, lab: str, course: Course) -> list[Found]:
    """nbgrader's inbound folder: each version that somebody submitted."""
    found = []
    for name in names(folder):
        who, middle, rest = name.partition(f"+{lab}+")
        if not middle:
            continue
        one = Found(label=name, stage=tree(folder, (name,)), name=who, timed=True)
        found.append(one)
        try:
            with opened(name, os.O_PATH, folder) as handle:
                status = os.fstat(handle)
        except OSError as problem:
            one.why = f"it cannot be opened: {problem.strerror}"
            continue
        if not stat.S_ISDIR(status.st_mode):
            one.why = "it is a link, not a folder" if stat.S_ISLNK(status.st_mode) else "it is not a folder"
            continue
        one.owner = status.st_uid
        account = _account(status.st_uid)
        owner = course.by_account(account) if account else None
        said = course.by_name(who)
        if not account:
            one.why = f"its owner is uid {status.st_uid}, for whom this machine knows no name"
        elif owner and said == owner:
            one.student = owner
        elif owner or said or account != who:
            one.why = (
                f"its name says {shown(who)}, but it belongs to the account {shown(account)}"
                f"{f' ({owner})' if owner else ''}: the owner counts, and the two must agree"
            )
        if not one.why:
            one.notes += _claimed(rest)
    return found


def folders(folder: int, lab: str, course: Course) -> list[Found]:
    """A folder for each student. Inside, the lab's folder, wherever learners have it, or the notebook itself."""
    found = []
    for name in names(folder):
        if paths.ignored(name):
            continue
        one = Found(label=name, stage=nothing, name=name, student=course.by_name(name) or "", holds={name})
        found.append(one)
        try:
            with below(folder, name) as inner:
                parts = _lab_folder(inner, lab)
        except NotADirectoryError:
            one.why = "it is not a folder"
        except OSError as problem:
            one.why = f"it cannot be opened: {problem.strerror}"
        else:
            one.why = "" if parts is not None else f"there is no {lab}.ipynb in it"
            one.stage = tree(folder, (name, *(parts or ())))
    return found


def _lab_folder(folder: int, lab: str) -> Sequence[str] | None:
    """Where in a student's folder ``lab`` lies: nbgrader's way, beside others, in its module, or just there."""
    there, _ = listing(folder, MOST)
    if _is_folder(folder, lab):
        return (lab,)
    if f"{lab}.ipynb" in there:
        return ()
    for name in sorted(there, key=os.fsencode):
        if not paths.ignored(name) and _is_folder(folder, name):
            with below(folder, name) as inner:
                if _is_folder(inner, lab):
                    return (name, lab)
    return () if any(name.endswith(".ipynb") for name in there) else None


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


def _claimed(rest: str) -> list[str]:
    """What the name of an exchange folder says of the time: the learner's word, so only a note."""
    match = re.match(r"\d{4}-\d\d-\d\d[ _]\d\d:\d\d:\d\d", rest)
    return [f"its name says {match[0]} ({shown(rest[len(match[0]) :].strip()[:40])})"] if match else []


KINDS: Mapping[str, Callable[[int, str, Course], list[Found]]] = {
    "exchange": exchange,
    "folders": folders,
    "canvas": canvas,
    "moodle": moodle,
}
