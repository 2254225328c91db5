"""Where things stand in a lab: which section a task belongs to, and where to read it. Pure."""

from __future__ import annotations

import json
import re

import msgspec

from hpclab.grading.gradebook.plan import task_of
from hpclab.grading.model import Lab

HEADING = re.compile(r"(?m)^#{2,6} +(.+?) *#*$")
FENCE = re.compile(r"(?ms)^(`{3,}|~{3,}).*?^\1 *$")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the lab, and its address in the book where one is known."""

    section: str = ""
    address: str = ""


def places(lab: Lab, book: str = "") -> dict[str, Place]:
    """By task, the section that its first answer stands in. ``book`` is the address of the course's book."""
    found: dict[str, Place] = {}
    section = ""
    for cell in json.loads(lab.notebook)["cells"]:
        if cell["cell_type"] == "markdown":
            headings = HEADING.findall(FENCE.sub("", _text(cell["source"])))
            section = headings[-1] if headings else section
            continue
        mark = cell["metadata"].get("nbgrader", {})
        task = task_of(cell["id"], lab) if mark.get("solution") else ""
        if task:
            found.setdefault(task, Place(section=section, address=_address(lab, section, book)))
    return found


def order(lab: Lab) -> list[str]:
    """The tasks, as they come in the lab."""
    return list(dict.fromkeys(test.task for test in lab.tests))


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _address(lab: Lab, section: str, book: str) -> str:
    if not book:
        return ""
    page = f"{book.rstrip('/')}/{lab.module}/{lab.name}.html"
    return f"{page}#{anchor(section)}" if section else page


def anchor(heading: str) -> str:
    """The id that the book gives a section: letters and digits, and none of them before the first letter."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-").lstrip("0123456789-")
