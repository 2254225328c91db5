"""Write notebooks to disk, and deliver files to learners without overwriting their work."""

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
from hpclab.files import write_whole

# The record of delivered files in a learner's folder: a list of hashes for each file name.
RECORD = ".released.json"


@dataclass(frozen=True)
class Delivery:
    """What ``deliver`` did with one file, with a message for the learner."""

    path: Path
    outcome: Literal["new", "updated", "unchanged", "kept"]
    message: str


# The notebooks that are written to disk, by their folder under ``build``.
VIEWS: dict[str, Callable[[source.Exercise], NotebookNode]] = {
    "student": views.student_view,
    "grader": views.grader_view,
    "reference": views.reference_view,
}


def write_student(path: Path, out: Path) -> Path:
    """Write the learner's notebook of the lab at ``path`` to ``out/MODULE/NAME.ipynb``."""
    return write_view("student", source.load(path), out)


def write_reference(path: Path, out: Path) -> Path:
    """Write the runnable notebook with answers and all tests to ``out/MODULE/NAME.ipynb``."""
    return write_view("reference", source.load(path), out)


def write_view(kind: str, exercise: source.Exercise, out: Path) -> Path:
    """Write one of ``VIEWS`` of ``exercise`` to ``out/MODULE/NAME.ipynb``."""
    return write_notebook(VIEWS[kind](exercise), out / exercise.module / f"{exercise.name}.ipynb")


def serialize(notebook: NotebookNode) -> bytes:
    """Return the file content of ``notebook``; equal for equal notebooks. Raises nbformat.ValidationError."""
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return f"{text}\n".encode()


def write_notebook(notebook: NotebookNode, path: Path) -> Path:
    """Write ``notebook`` to ``path`` unless the file is already equal."""
    data = serialize(notebook)
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)
    return path


def list_templates(folder: Path) -> list[Path]:
    """List the files of ``folder`` (the course's ``templates/``) that learners get, without caches."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
    )


def deliver(file: Path, lab: Path) -> Delivery:
    """Copy a file into a learner's folder, unless that would overwrite the learner's work.

    An existing file is replaced only if it equals one that was delivered before. Raises ExerciseError if the
    folder's record cannot be read.
    """
    data = file.read_bytes()
    target = lab / file.name
    record = _read_record(lab)
    delivered = record.setdefault(file.name, [])
    outcome: Literal["new", "updated", "unchanged", "kept"] = "new"
    if os.path.lexists(target):
        current = _read_or_none(target)
        if current == data:
            outcome = "unchanged"
        elif current is not None and _hash(current) in delivered:
            outcome = "updated"
        else:
            return Delivery(
                target,
                "kept",
                f"{target} has your work and was not changed. "
                f"To get a new copy, rename it and run the command again.",
            )
    # The record is written first: a copy without a record would always count as the learner's work.
    if _hash(data) not in delivered:
        delivered.append(_hash(data))
        write_whole(lab / RECORD, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    if outcome != "unchanged":
        write_whole(target, data)
        if os.access(file, os.X_OK):
            target.chmod(target.stat().st_mode | 0o111)
    texts = {"new": "is ready", "updated": "was updated", "unchanged": "is up to date"}
    return Delivery(target, outcome, f"{target} {texts[outcome]}.")


def _read_record(lab: Path) -> dict[str, list[str]]:
    path = lab / RECORD
    try:
        record = json.loads(path.read_text())
        if not isinstance(record, dict) or not all(isinstance(value, list) for value in record.values()):
            raise ValueError("not a record of delivered files")
    except FileNotFoundError:
        return {}
    except ValueError as problem:
        raise ExerciseError(
            f"{path}: {problem}",
            f"Delete {path} and run the command again. Existing files then count as your work and are kept.",
        ) from None
    return record


def _read_or_none(path: Path) -> bytes | None:
    """Return the content of a file; None if it is no regular file or cannot be read."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
