"""One submission as a source lists it, and the ways to stage one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hpclab.errors import UsageError
from hpclab.grading.submissions.staging import Staging, list_folder, open_below

MOST_NAMES = 100_000  # names in a source


@dataclass(kw_only=True)
class Submission:
    """One submission as a source lists it. ``stage`` copies its files.

    ``student`` is empty if it is unknown or ``why`` says why the submission is refused. ``name`` is the student's
    name in the source, ``lms`` the platform's number for them.
    """

    label: str
    stage: Callable[[Staging], None]
    student: str = ""
    why: str = ""
    name: str = ""
    lms: str = ""
    owner: int | None = None  # the user id that must own all files
    timed: bool = False  # the file system's change time is the time of submission
    late: bool = False  # the platform marked it as late
    notes: list[str] = field(default_factory=list)
    holds: set[str] = field(default_factory=set)  # the names at the top of the source that are part of it


def list_names(folder: int) -> list[str]:
    """The names in an open folder, sorted. Raises UsageError for far too many."""
    names, more = list_folder(folder, MOST_NAMES)
    if more:
        raise UsageError(f"the source holds more than {MOST_NAMES} names", "Name the folder of one course.")
    return sorted(names, key=os.fsencode)


def stage_tree(folder: int, parts: Sequence[str]) -> Callable[[Staging], None]:
    """A function that stages everything in a folder below an open one."""

    def stage(staging: Staging) -> None:
        with open_below(folder, *parts) as inner:
            staging.tree(inner)

    return stage


def stage_files(folder: int, given: Mapping[str, str]) -> Callable[[Staging], None]:
    """A function that stages files of an open folder; ``given`` maps their names to the new ones."""

    def stage(staging: Staging) -> None:
        for name, path in sorted(given.items(), key=lambda pair: (not pair[1].endswith(".ipynb"), pair)):
            staging.file(folder, name, path)

    return stage


def stage_nothing(_staging: Staging) -> None:
    """Stage nothing."""
