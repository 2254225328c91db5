"""A lab into the course's folder, nbgrader's configuration and, if asked, nbgrader's exchange."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hpclab import layout
from hpclab.app.grading.lab_model import lab_of
from hpclab.errors import UsageError
from hpclab.exercises import build, source, views
from hpclab.exercises.lab_names import list_sources
from hpclab.files import write_whole
from hpclab.grading import formgrader, gradebook
from hpclab.grading.settings import Course
from hpclab.grading.submissions import student_ids


class ReleasedLab(msgspec.Struct, frozen=True, kw_only=True):
    """One lab, released: its notebook with answers, the student's notebook, and its folder in the exchange."""

    lab: str
    source: Path
    released: Path
    handed_out: Path | None
    needs_templates: bool  # the exchange carries only the lab's own folder
    has_deadline: bool


def check_names(paths: Sequence[Path]) -> None:
    """Refuse labs that nbgrader could not tell apart: it knows no modules. Raises UsageError."""
    all_labs = list_sources(layout.clone_folder() / "notebooks")
    for path in paths:
        student_ids.check_id(path.stem, what="lab")
        if same := [other for other in all_labs if other.stem == path.stem and other != path]:
            named = " and ".join(f"{other.parent.name}/{other.stem}" for other in (path, *same))
            raise UsageError(
                f"{named} have the same name, and nbgrader would take them for one lab", "Rename one of them."
            )


def write_configuration(course: Course) -> Path | None:
    """Write nbgrader's configuration if the course has none; its path if it was written now."""
    path = course.folder / formgrader.CONFIG
    if path.exists():
        return None
    template = (layout.clone_folder() / "autograder" / formgrader.CONFIG).read_text(encoding="utf-8")
    write_whole(path, formgrader.render_config(template, course.title).encode())
    return path


def release_lab(course: Course, path: Path, *, exchange: bool = False) -> ReleasedLab:
    """ReleasedLab the lab whose source is ``path``. Raises GradingError, ExerciseError."""
    lab = lab_of(path)
    notebook = build.serialize(views.grader_view(source.load(path)))
    source_path, released_path = gradebook.release(course, lab, notebook)
    return ReleasedLab(
        lab=lab.name,
        source=source_path,
        released=released_path,
        handed_out=formgrader.hand_out(course.folder, lab.name) if exchange else None,
        needs_templates="../../templates/" in lab.notebook,
        has_deadline=lab.name in course.labs,
    )
