"""The text of ``settings.toml``: a commented beginning, and what commands add at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hpclab import locks
from hpclab.errors import GradingError, UsageError
from hpclab.files import write_whole
from hpclab.grading.settings import NAME, Alias, Course, Read, Student, load, problems

START = """# A class of HPC Lab. `hpclab course show` checks this file and shows what it says.
# Everything about people is in this folder: keep it where only you can read it.

title = {title}

# Times below are meant in this zone, and people see times in it. Records are kept in UTC.
zone = {zone}

# A lab is there from `opens` (which is only shown), is late after `due`, and is not taken after `closes`.
# Leave out what there is not. A time with seconds says what is meant: 23:59:59, not 23:59.
#
# [labs.ex01-submit-monitor]
# opens  = 2026-10-01T08:00:00
# due    = 2026-10-14T23:59:59
# closes = 2026-10-21T23:59:59

[late]
policy = "none"          # "none": late work costs nothing until the lab closes; "percent": see below
# percent_per_day = 10   # for each day begun, off the mark that was earned
# most_percent    = 50   # never more than this
# grace_minutes   = 15   # so much later still counts as in time
# free_days       = 3    # for each student, over all labs: days that cost nothing

# One student, one lab, another deadline; beyond `closes` it moves that too.
#
# [[extension]]
# student = "ada"
# lab     = "ex01-submit-monitor"
# until   = 2026-10-20T23:59:59
# reason  = "ill from 12 to 16 October"

# The people. `id` names them in files and in nbgrader. The others are how other systems call them,
# where that differs: account (operating system), hub (JupyterHub), lms (the number in names of
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
    """A new class in ``folder``. Raises UsageError where one is."""
    path = folder / NAME
    if path.exists():
        raise UsageError(f"{folder} is a class already", f"Edit {path}, or name another folder.")
    text = START.format(title=quoted(title), zone=quoted(zone))
    _checked(path, text)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    write_whole(path, text.encode())
    return path


def add(folder: Path, new: Sequence[Student | Alias]) -> Course:
    """Write ``new`` at the end of the class's settings, if what comes out is right, and load them."""
    path = folder / NAME
    if new:
        with locks.held(folder / ".settings.lock", "another command to write the settings", seconds=120):
            text = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
            for one in new:
                head = "student" if isinstance(one, Student) else "alias"
                lines = [
                    f"{key} = {quoted(value)}\n"
                    for key, value in msgspec.structs.asdict(one).items()
                    if value
                ]
                text += f"\n[[{head}]]\n{''.join(lines)}"
            _checked(path, text)
            write_whole(path, text.encode())
    return load(folder)


def quoted(text: str) -> str:
    """``text`` as a string of TOML."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"' + "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in plain) + '"'
    )


def _checked(path: Path, text: str) -> None:
    try:
        wrong = problems(msgspec.toml.decode(text, type=Read))
    except (msgspec.MsgspecError, ValueError) as problem:
        wrong = [(str(problem), "Nothing was written.")]
    if wrong:
        raise GradingError(f"{path}: {wrong[0][0]}", wrong[0][1])
