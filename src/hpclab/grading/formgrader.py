"""The configuration of nbgrader's programs in a course, and replacements for those that would bypass hpclab.

A course's ``nbgrader_config.py`` is copied from ``autograder/`` once; the instructor may edit it. It names the
course and the exchange, and replaces nbgrader's programs with the classes below.
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
COURSE = "hpclab"  # the default name of a course
EXCHANGE = "/usr/local/share/nbgrader/exchange"  # nbgrader's own default
# The formgrader looks for templates here first, then in nbgrader.
TEMPLATES = [
    str(Path(__file__).parent / "templates"),
    str(Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"),
]
COURSE_ID = re.compile(r"(?m)^c\.CourseDirectory\.course_id = .*$")


class Nbgrader(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a course's nbgrader that hpclab needs."""

    course: str = COURSE
    exchange: Path = Path(EXCHANGE)


def read_config(folder: Path) -> Nbgrader:
    """Return the configuration in ``folder``, nbgrader's defaults if there is none. Raises GradingError."""
    if not (folder / CONFIG).is_file():
        return Nbgrader()
    try:
        loaded = PyFileConfigLoader(CONFIG, path=str(folder)).load_config()
        course, exchange = (
            loaded["CourseDirectory"].get("course_id", COURSE),
            loaded["Exchange"].get("root", EXCHANGE),
        )
    except Exception as problem:  # the file is a program, which may raise anything
        raise GradingError(
            f"{folder / CONFIG}: {type(problem).__name__}: {problem}",
            "Correct it, or remove it: `hpclab release LAB` writes a new one.",
        ) from None
    return Nbgrader(course=str(course) or COURSE, exchange=Path(str(exchange)).expanduser())


def render_config(template: str, title: str) -> str:
    """Return the configuration of a new course with this title, from ``template``."""
    return COURSE_ID.sub(f'c.CourseDirectory.course_id = "{make_course_id(title)}"', template)


def make_course_id(title: str) -> str:
    """Return a folder name made from a course's title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or COURSE


def hand_out(folder: Path, lab: str) -> Path:
    """Copy ``release/LAB`` into the exchange, over an earlier copy; returns the new path. Raises GradingError.

    Uses nbgrader's own program, so that its other programs find the folders and permissions they expect.
    """
    known = read_config(folder)
    if not known.exchange.is_dir():
        raise GradingError(
            f"there is no exchange at {known.exchange}",
            f"Ask the machine's administrator for one, or set c.Exchange.root in {folder / CONFIG}.",
        )
    config = Config(
        {
            "CourseDirectory": {"root": str(folder), "course_id": known.course, "assignment_id": lab},
            "Exchange": {"root": str(known.exchange)},
        }
    )
    release = ExchangeReleaseAssignment(coursedir=CourseDirectory(config=config), config=config)
    release.force = True
    release.log = logging.getLogger("hpclab.nbgrader")
    release.log.addHandler(logging.NullHandler())
    try:
        release.start()
    except (ExchangeError, OSError, RuntimeError) as problem:
        raise GradingError(
            f"{known.exchange}: {problem}",
            "You need permission to write to the exchange and the course's folder in it.",
        ) from None
    return Path(release.dest_path)


class UseGrade(NotebookExporter):
    """Replaces `nbgrader autograde`, which would run a student's code with the instructor's rights."""

    def __init__(self, **_: Any) -> None:
        raise NbGraderException(
            "Submissions are graded in a sandbox here: run `hpclab grade LAB` in a terminal. "
            "nbgrader's autograde would run a student's code with your rights, next to the hidden tests."
        )


class UseFeedback(NotebookExporter):
    """Replaces `nbgrader generate_feedback`, which would show the hidden tests to students."""

    def __init__(self, **_: Any) -> None:
        raise NbGraderException(
            "Run `hpclab feedback LAB` in a terminal. nbgrader's own feedback would show the hidden tests."
        )


class UseCollect(ExchangeCollect):  # type: ignore[misc]
    """Replaces `nbgrader collect`, which would bypass the store and its receipts."""

    def start(self) -> None:
        raise ExchangeError("Run `hpclab collect` in a terminal: it issues receipts and keeps every version.")


class UseRelease(ExchangeReleaseFeedback):  # type: ignore[misc]
    """Replaces `nbgrader release_feedback`, which would bypass the ledger."""

    def start(self) -> None:
        raise ExchangeError(
            "Run `hpclab feedback LAB --exchange` in a terminal: it records what was published."
        )
