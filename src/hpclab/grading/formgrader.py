"""nbgrader's own programs in a class: what its settings say, and which of its buttons lead to hpclab instead.

A class's ``nbgrader_config.py`` is copied from ``autograder/`` and then the instructor's. It names the course
and the exchange, and hands the buttons below to this module.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import msgspec
import nbgrader
from nbconvert.exporters import NotebookExporter
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeError
from nbgrader.exchange.default import ExchangeCollect, ExchangeReleaseAssignment, ExchangeReleaseFeedback
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from hpclab.errors import GradingError

CONFIG = "nbgrader_config.py"
COURSE = "hpclab"  # where a class does not say otherwise
EXCHANGE = "/usr/local/share/nbgrader/exchange"  # nbgrader's own default
# Templates of the formgrader: ours come before nbgrader's.
TEMPLATES = [
    str(Path(__file__).parent / "templates"),
    str(Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"),
]
NAMED = re.compile(r"(?m)^c\.CourseDirectory\.course_id = .*$")


class Nbgrader(msgspec.Struct, frozen=True, kw_only=True):
    """What a class's nbgrader goes by."""

    course: str = COURSE
    exchange: Path = Path(EXCHANGE)


def read(folder: Path) -> Nbgrader:
    """What ``folder``'s configuration says; nbgrader's defaults where there is none. Raises GradingError."""
    if not (folder / CONFIG).is_file():
        return Nbgrader()
    try:
        found = PyFileConfigLoader(CONFIG, path=str(folder)).load_config()
        course, exchange = (
            found["CourseDirectory"].get("course_id", COURSE),
            found["Exchange"].get("root", EXCHANGE),
        )
    except Exception as problem:  # it is a program: whatever it raises is what is wrong with it
        raise GradingError(
            f"{folder / CONFIG}: {type(problem).__name__}: {problem}",
            "Mend it, or remove it: `hpclab release LAB` writes a new one.",
        ) from None
    return Nbgrader(course=str(course) or COURSE, exchange=Path(str(exchange)).expanduser())


def config(template: str, title: str) -> str:
    """The configuration of a new class, from the course's ``template``."""
    return NAMED.sub(f'c.CourseDirectory.course_id = "{course_id(title)}"', template)


def course_id(title: str) -> str:
    """A name for files out of a class's title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or COURSE


def hand_out(folder: Path, lab: str) -> Path:
    """Lay ``release/LAB`` into the exchange, over what is there; its place. Raises GradingError.

    nbgrader's own program does it, so that folders and their permissions are as its others expect them.
    """
    known = read(folder)
    if not known.exchange.is_dir():
        raise GradingError(
            f"there is no exchange at {known.exchange}",
            f"Ask whoever runs the machine for it, or set c.Exchange.root in {folder / CONFIG}.",
        )
    config = Config(
        {
            "CourseDirectory": {"root": str(folder), "course_id": known.course, "assignment_id": lab},
            "Exchange": {"root": str(known.exchange)},
        }
    )
    hand = ExchangeReleaseAssignment(coursedir=CourseDirectory(config=config), config=config)
    hand.force = True
    hand.log = logging.getLogger("hpclab.nbgrader")
    hand.log.addHandler(logging.NullHandler())
    try:
        hand.start()
    except (ExchangeError, OSError, RuntimeError) as problem:
        raise GradingError(
            f"{known.exchange}: {problem}",
            "The exchange and the course's folder in it must be yours to write to.",
        ) from None
    return Path(hand.dest_path)


class UseGrade(NotebookExporter):
    """Stands where `nbgrader autograde` would run a learner's code with the instructor's rights."""

    def __init__(self, **_: Any) -> None:
        raise NbGraderException(
            "Here, submissions are marked in a sandbox: run `hpclab grade LAB` in a terminal. "
            "nbgrader's autograde would run a learner's code with your rights, beside the hidden tests."
        )


class UseFeedback(NotebookExporter):
    """Stands where `nbgrader generate_feedback` would show learners the hidden tests."""

    def __init__(self, **_: Any) -> None:
        raise NbGraderException(
            "Run `hpclab feedback LAB` in a terminal. nbgrader's own feedback would show the hidden tests."
        )


class UseCollect(ExchangeCollect):  # type: ignore[misc]
    """Stands where `nbgrader collect` would pass by the store and its receipts."""

    def start(self) -> None:
        raise ExchangeError("Run `hpclab collect` in a terminal: it gives receipts and keeps every version.")


class UseRelease(ExchangeReleaseFeedback):  # type: ignore[misc]
    """Stands where `nbgrader release_feedback` would pass by the ledger."""

    def start(self) -> None:
        raise ExchangeError(
            "Run `hpclab feedback LAB --exchange` in a terminal: it notes what was published."
        )
