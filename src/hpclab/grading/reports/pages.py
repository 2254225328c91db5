"""Feedback and class reports as HTML: one file per page, without scripts or external resources, all text escaped.

Templates are in ``templates/``. They escape all values; the page's security policy allows only the
style sheet of this package and pictures that are part of the page.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hpclab.grading.reports import class_report
from hpclab.grading.reports.class_report import ClassSummary
from hpclab.grading.reports.feedback_model import FeedbackPage
from hpclab.grading.reports.wording import format_points

TEMPLATES = Path(__file__).parent / "templates"


def render_feedback(page: FeedbackPage) -> bytes:
    """Return a student's feedback as HTML."""
    return _render("feedback.html.j2", page=page)


def render_report(summary: ClassSummary) -> bytes:
    """Return the report on one lab of a course as HTML, for instructors."""
    return _render(
        "class_report.html.j2",
        summary=summary,
        attention=class_report.list_attention(summary),
        histogram=class_report.compute_histogram(summary.bins),
        verdicts=class_report.list_verdicts(summary),
        students=class_report.list_students(summary),
    )


def _render(template: str, **values: object) -> bytes:
    return _environment().get_template(template).render(**values).encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals["style"] = style
    environment.globals["policy"] = (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    environment.filters["points"] = format_points
    environment.filters["data_address"] = _data_address
    return environment


def _data_address(png: bytes) -> str:
    """Return a PNG as a ``data:`` URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
