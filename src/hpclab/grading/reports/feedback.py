"""Writes a student's feedback, as a page and as text, into the folder of the course."""

from __future__ import annotations

from pathlib import Path

from hpclab.files import write_whole
from hpclab.grading.reports import feedback_page, feedback_text
from hpclab.grading.reports.feedback_model import Told
from hpclab.grading.settings import Course


def write(course: Course, told: Told) -> Path:
    """Write both files to feedback/STUDENT/LAB; return the page's path."""
    place = course.folder / "feedback" / told.student / told.lab
    write_whole(place / f"{told.lab}.txt", feedback_text.text(told))
    write_whole(place / f"{told.lab}.html", feedback_page.html(told))
    return place / f"{told.lab}.html"
