"""Write notebooks to disk, and hand them to learners without ever losing their work."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from hpclab.errors import ExerciseError
from hpclab.exercises import source, views
from hpclab.files import write_whole

# Which notebooks were handed out into a folder: their hashes, one list a file name.
RECORD = ".released.json"


@dataclass(frozen=True)
class Release:
    """What ``release`` did with one notebook, in words for the learner."""

    path: Path
    outcome: Literal["new", "updated", "unchanged", "kept"]
    message: str


def sources(folder: Path) -> list[Path]:
    """The exercises below ``folder`` (the course's ``notebooks/``), in the order of the course."""
    return sorted(folder.glob("[0-9][0-9]-*/ex[0-9][0-9]-*.md"))


def student(path: Path, out: Path) -> Path:
    """Write the learner's notebook of the exercise at ``path`` to ``out/MODULE/NAME.ipynb``."""
    exercise = source.load(path)
    return write(views.student_view(exercise), out / exercise.module / f"{exercise.name}.ipynb")


def reference(path: Path, out: Path) -> Path:
    """Write the runnable notebook with answers and all tests to ``out/MODULE/NAME.ipynb``."""
    exercise = source.load(path)
    return write(views.reference_view(exercise), out / exercise.module / f"{exercise.name}.ipynb")


def write(notebook: NotebookNode, path: Path) -> Path:
    """Write ``notebook`` to ``path``; a file that is equal already stays untouched."""
    nbformat.validate(notebook)
    data = (nbformat.writes(notebook) + "\n").encode()  # type: ignore[no-untyped-call]
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)
    return path


def release(notebook: Path, lab: Path) -> Release:
    """Copy a student notebook into a learner's folder, unless that would overwrite work.

    A copy is replaced only when it equals, byte for byte, one that was handed
    out before. Raises ExerciseError where the folder's record cannot be read.
    """
    data = notebook.read_bytes()
    target = lab / notebook.name
    record = _read_record(lab)
    handed_out = record.setdefault(notebook.name, [])
    outcome: Literal["new", "updated", "unchanged", "kept"] = "new"
    if os.path.lexists(target):
        there = target.read_bytes() if target.is_file() else b""
        if there == data:
            outcome = "unchanged"
        elif _hash(there) in handed_out:
            outcome = "updated"
        else:
            return Release(
                target,
                "kept",
                f"{target} holds your work and stays as it is. "
                f"To start afresh, rename it and ask for the notebook again.",
            )
    # The record comes first: a copy without a record would be taken for the learner's work for ever.
    if _hash(data) not in handed_out:
        handed_out.append(_hash(data))
        write_whole(lab / RECORD, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    if outcome != "unchanged":
        write_whole(target, data)
    said = {"new": "is ready", "updated": "was brought up to date", "unchanged": "is up to date"}
    return Release(target, outcome, f"{target} {said[outcome]}.")


def _read_record(lab: Path) -> dict[str, list[str]]:
    path = lab / RECORD
    try:
        record = json.loads(path.read_text())
        if not isinstance(record, dict) or not all(isinstance(value, list) for value in record.values()):
            raise ValueError("not a record of releases")
    except FileNotFoundError:
        return {}
    except ValueError as problem:
        raise ExerciseError(
            f"{path}: {problem}", f"Remove {path}. Notebooks that are there will be kept as your work."
        ) from None
    return record


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
