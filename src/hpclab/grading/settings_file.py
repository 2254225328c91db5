"""Write ``settings.toml``: the commented file of a new course, and what commands append to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hpclab import locks
from hpclab.errors import GradingError, UsageError
from hpclab.files import write_whole
from hpclab.grading.settings import NAME, Alias, Course, SettingsFile, Student, find_problems, load

START = """# A course of HPC Lab. `hpclab course show` checks this file and shows its content.
# This folder holds personal data: keep it where only you can read it.

title = {title}

# Times below are in this zone, and people see times in it. Records are kept in UTC.
zone = {zone}

# A lab opens at `opens` (only shown), is late after `due`, and is refused after `closes`; each is optional.
# Write seconds to be exact: 23:59:59, not 23:59.
#
# [labs.ex01-submit-monitor]
# opens  = 2026-10-01T08:00:00
# due    = 2026-10-14T23:59:59
# closes = 2026-10-21T23:59:59

[late]
policy = "none"          # "none": no penalty until the lab closes; "percent": see below
# percent_per_day = 10   # of the mark for each day begun
# most_percent    = 50   # never more than this
# grace_minutes   = 15   # so much later is still on time
# free_days       = 3    # days without a penalty, for each student over all labs

# A later deadline for one student and one lab; beyond `closes` it moves that, too.
#
# [[extension]]
# student = "ada"
# lab     = "ex01-submit-monitor"
# until   = 2026-10-20T23:59:59
# reason  = "ill from 12 to 16 October"

# The students. `id` is their name in files and in nbgrader. The others are their names in other systems,
# where those differ: account (operating system), hub (JupyterHub), lms (the number in names of
# files that Canvas or Moodle made). `email` finds people in Moodle's grading worksheet.
#
# [[student]]
# id      = "ada"
# name    = "Ada Lovelace"
# email   = "ada@example.org"
# account = "al1815"
# lms     = "12345"
"""


def begin(folder: Path, *, title: str, zone: str) -> Path:
    """Write the settings of a new course in ``folder``; returns their path. Raises UsageError if there is a course."""
    path = folder / NAME
    if path.exists():
        raise UsageError(f"there is already a course in {folder}", f"Edit {path}, or name another folder.")
    text = START.format(title=quoted(title), zone=quoted(zone))
    _checked(path, text)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    write_whole(path, text.encode())
    return path


def add(folder: Path, new: Sequence[Student | Alias]) -> Course:
    """Append ``new`` to the course's settings, if the result is valid, and load them."""
    path = folder / NAME
    if new:
        with locks.held(folder / ".settings.lock", "another command to write the settings", seconds=120):
            text = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
            for entry in new:
                head = "student" if isinstance(entry, Student) else "alias"
                lines = [
                    f"{key} = {quoted(value)}\n"
                    for key, value in msgspec.structs.asdict(entry).items()
                    if value
                ]
                text += f"\n[[{head}]]\n{''.join(lines)}"
            _checked(path, text)
            write_whole(path, text.encode())
    return load(folder)


def quoted(text: str) -> str:
    """Return ``text`` as a TOML string."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"' + "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in plain) + '"'
    )


def _checked(path: Path, text: str) -> None:
    try:
        wrong = find_problems(msgspec.toml.decode(text, type=SettingsFile))
    except (msgspec.MsgspecError, ValueError) as problem:
        wrong = [(str(problem), "Nothing was written.")]
    if wrong:
        raise GradingError(f"{path}: {wrong[0][0]}", wrong[0][1])
