"""Write notebooks to disk, and hand files to learners without ever losing their work."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from hpclab.errors import ExerciseError
from hpclab.exercises import source, views
from hpclab.exercises.lab_names import list_sources
from hpclab.files import write_whole

# Which files were handed out into a folder: their hashes, one list a file name.
RECORD = ".released.json"


@dataclass(frozen=True)
class Release:
    """What ``release`` did with one file, in words for the learner."""

    path: Path
    outcome: Literal["new", "updated", "unchanged", "kept"]
    message: str


def sources(folder: Path) -> list[Path]:
    """The exercises below ``folder`` (the course's ``notebooks/``), in the order of the course."""
    return list_sources(folder)


# The notebooks that are written to disk, by the folder under ``build`` that they go to.
VIEWS: dict[str, Callable[[source.Exercise], NotebookNode]] = {
    "student": views.student_view,
    "grader": views.grader_view,
    "reference": views.reference_view,
}


def student(path: Path, out: Path) -> Path:
    """Write the learner's notebook of the exercise at ``path`` to ``out/MODULE/NAME.ipynb``."""
    return view("student", source.load(path), out)


def reference(path: Path, out: Path) -> Path:
    """Write the runnable notebook with answers and all tests to ``out/MODULE/NAME.ipynb``."""
    return view("reference", source.load(path), out)


def view(kind: str, exercise: source.Exercise, out: Path) -> Path:
    """Write one of ``VIEWS`` of ``exercise`` to ``out/MODULE/NAME.ipynb``."""
    return write(VIEWS[kind](exercise), out / exercise.module / f"{exercise.name}.ipynb")


def as_bytes(notebook: NotebookNode) -> bytes:
    """The file of ``notebook``: equal for equal notebooks. Raises nbformat.ValidationError."""
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return f"{text}\n".encode()


def write(notebook: NotebookNode, path: Path) -> Path:
    """Write ``notebook`` to ``path``; a file that is equal already stays untouched."""
    data = as_bytes(notebook)
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)
    return path


def given(folder: Path) -> list[Path]:
    """The files of ``folder`` (the course's ``templates/``) that learners get, caches left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
    )


def release(file: Path, lab: Path) -> Release:
    """Copy a file into a learner's folder, unless that would overwrite work.

    A copy is replaced only when it equals, byte for byte, one that was handed
    out before. Raises ExerciseError where the folder's record cannot be read.
    """
    data = file.read_bytes()
    target = lab / file.name
    record = _read_record(lab)
    handed_out = record.setdefault(file.name, [])
    outcome: Literal["new", "updated", "unchanged", "kept"] = "new"
    if os.path.lexists(target):
        there = _content(target)
        if there == data:
            outcome = "unchanged"
        elif there is not None and _hash(there) in handed_out:
            outcome = "updated"
        else:
            return Release(
                target,
                "kept",
                f"{target} holds your work and stays as it is. "
                f"To start afresh, rename it and ask for it again.",
            )
    # The record comes first: a copy without a record would be taken for the learner's work for ever.
    if _hash(data) not in handed_out:
        handed_out.append(_hash(data))
        write_whole(lab / RECORD, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    if outcome != "unchanged":
        write_whole(target, data)
        if os.access(file, os.X_OK):
            target.chmod(target.stat().st_mode | 0o111)
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
            f"{path}: {problem}", f"Remove {path}. Files that are there will be kept as your work."
        ) from None
    return record


def _content(path: Path) -> bytes | None:
    """What a file holds; None for what is no file or cannot be read."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
