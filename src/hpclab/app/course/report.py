"""The report on one lab of a course, for instructors."""

from __future__ import annotations

from pathlib import Path

from hpclab.app.course.labs import read_marks, read_newest_lab
from hpclab.files import write_whole
from hpclab.grading.reports import pages
from hpclab.grading.reports.class_report import ClassSummary, summarize
from hpclab.grading.reports.overview import build_rows
from hpclab.grading.settings import Course


def write_report(course: Course, lab: str) -> tuple[ClassSummary, Path]:
    """Write reports/LAB.html, readable only by its owner; the summary and the path. Raises GradingError."""
    marks = read_marks(course, lab)
    newest = read_newest_lab(course, marks)
    summary = summarize(course.title, newest, build_rows(course, marks), marks.results)
    path = course.folder / "reports" / f"{lab}.html"
    write_whole(path, pages.render_report(summary))
    path.chmod(0o600)
    return summary, path
