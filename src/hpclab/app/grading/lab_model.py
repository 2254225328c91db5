"""A lab's source file → the data for grading. It has hidden tests: a learner's process must never be able to read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hpclab import __version__, layout
from hpclab.exercises import build, source, views
from hpclab.exercises.cells import GRADED
from hpclab.exercises.source import Exercise
from hpclab.grading.model import Cell, Lab, Test


def lab_of(path: Path) -> Lab:
    """Return the lab that the author's file at ``path`` describes. Raises ExerciseError."""
    exercise = source.load(path)
    released = views.student_view(exercise)
    cells = []
    for cell in released.cells:
        mark = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code":
            kind = "answer" if mark.get("solution") else "check" if mark.get("grade") else "given"
            cells.append(Cell(id=cell.id, kind=kind, source=cell.source))
    lab = Lab(
        module=exercise.module,
        name=exercise.name,
        title=exercise.about.title,
        points=exercise.about.points,
        seconds=exercise.about.cost.seconds,
        nodes=exercise.about.nodes,
        containers=exercise.about.containers,
        notebook=build.serialize(released).decode(),
        cells=tuple(cells),
        tests=tuple(_tests(exercise)),
        files=dict(_files(layout.clone_folder() / "templates")),
    )
    return msgspec.structs.replace(lab, digest=digest(lab))


def digest(lab: Lab) -> str:
    """Return a digest of ``lab`` and the version of this package."""
    plain = msgspec.json.encode([__version__, msgspec.structs.replace(lab, digest="")], order="sorted")
    return hashlib.sha256(plain).hexdigest()


def _tests(exercise: Exercise) -> Iterator[Test]:
    for cell in exercise.notebook.cells:
        mark = cell.metadata.hpclab
        if mark.get("role") in GRADED:
            hidden = mark.role == "hidden-tests"
            yield Test(
                id=cell.id, task=mark.exercise, points=float(mark.points), source=cell.source, hidden=hidden
            )


def _files(templates: Path) -> Iterator[tuple[str, bytes]]:
    """Return the files that learners have beside their labs, by path from the top of their folder."""
    for path in build.list_templates(templates):
        yield f"templates/{path.relative_to(templates).as_posix()}", path.read_bytes()
