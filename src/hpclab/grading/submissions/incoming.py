"""One submission as a source shows it, and the ways to stage one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hpclab.errors import UsageError
from hpclab.grading.submissions.staging import Staging, below, listing

MOST = 100_000  # names in a source


@dataclass(kw_only=True)
class Found:
    """One submission as a source shows it. ``stage`` lays its files out.

    ``student`` is empty where ``why`` says what stands in the way; ``name`` is what to go by when a person
    is asked, ``lms`` the platform's number, under which the answer is remembered.
    """

    label: str
    stage: Callable[[Staging], None]
    student: str = ""
    why: str = ""
    name: str = ""
    lms: str = ""
    owner: int | None = None  # whose all files must be
    timed: bool = False  # the file system's change time is the time of handing in
    late: bool = False  # the platform says that it came late
    notes: list[str] = field(default_factory=list)
    holds: set[str] = field(default_factory=set)  # the names at the top of the source that are part of it


def names(folder: int) -> list[str]:
    """The names in an open folder, sorted. Raises UsageError for far too many."""
    there, more = listing(folder, MOST)
    if more:
        raise UsageError(f"the source holds more than {MOST} names", "Name the folder of one class.")
    return sorted(there, key=os.fsencode)


def tree(folder: int, parts: Sequence[str]) -> Callable[[Staging], None]:
    """Stage everything in a folder below an open one."""

    def stage(staging: Staging) -> None:
        with below(folder, *parts) as inner:
            staging.tree(inner)

    return stage


def files(folder: int, given: Mapping[str, str]) -> Callable[[Staging], None]:
    """Stage some files of an open folder: its names → what they are called there."""

    def stage(staging: Staging) -> None:
        for name, path in sorted(given.items(), key=lambda pair: (not pair[1].endswith(".ipynb"), pair)):
            staging.file(folder, name, path)

    return stage


def nothing(_staging: Staging) -> None:
    """There is nothing to stage."""
