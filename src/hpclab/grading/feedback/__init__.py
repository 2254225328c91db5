"""A result and what the gradebook says of it → a page and a text for the learner.

    told.told(klass, lab, result, standing, lateness, now=...) -> Told
    write(klass, told) -> Path             feedback/STUDENT/LAB/LAB.html and LAB.txt

words      what is said of each verdict, and of hidden checks: fixed wording
places     which section of the lab a task belongs to
printed    what the cells printed, cut to size
told       everything that is said, as plain values, pure
page       that as HTML; plain: as a text
exchange   the page in nbgrader's exchange, for `nbgrader fetch_feedback`
"""

from __future__ import annotations

from pathlib import Path

from hpclab.files import write_whole
from hpclab.grading.feedback import page, plain
from hpclab.grading.feedback.told import Told
from hpclab.grading.settings import Class


def write(klass: Class, told: Told) -> Path:
    """Lay both down; the page's path."""
    place = klass.folder / "feedback" / told.student / told.lab
    write_whole(place / f"{told.lab}.txt", plain.text(told))
    write_whole(place / f"{told.lab}.html", page.html(told))
    return place / f"{told.lab}.html"
