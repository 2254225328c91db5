"""The folders beside nbgrader's database, under nbgrader's names: what the formgrader shows, and the results kept.

    source/LAB/LAB.ipynb               with answers and hidden tests      release/LAB/LAB.ipynb   without
    submitted/STUDENT/LAB/             the notebook as it was received, timestamp.txt
    autograded/STUDENT/LAB/            the notebook to look at, timestamp.txt, result.json
                                       unmarked.json: a result from which no mark could be taken
    labs/LAB/DIGEST.json               the lab as it was when it was graded, hidden tests and all

``result.json`` is the result that the marks in the database came from.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hpclab.errors import GradingError
from hpclab.files import write_whole
from hpclab.grading.gradebook import autograded
from hpclab.grading.model import Lab, Result

RESULT, UNMARKED, TIMESTAMP = "result.json", "unmarked.json", "timestamp.txt"


def lay_lab(folder: Path, lab: Lab, source: bytes) -> tuple[Path, Path]:
    """Write ``source/`` and ``release/`` of ``lab``; both notebooks. ``source`` has answers and hidden tests."""
    first = folder / "source" / lab.name / f"{lab.name}.ipynb"
    second = folder / "release" / lab.name / f"{lab.name}.ipynb"
    _write(first, source)
    _write(second, lab.notebook.encode())
    for path, data in beside(lab).items():
        _write(second.parent / path, data)
    return first, second


def beside(lab: Lab) -> dict[str, bytes]:
    """The files that lie beside the learner's notebook."""
    top = f"{lab.module}/{lab.name}/"
    return {path.removeprefix(top): data for path, data in lab.files.items() if path.startswith(top)}


def keep_lab(folder: Path, lab: Lab) -> None:
    """Keep the lab as it is: feedback and reports are about the lab that was graded, whatever it is by then."""
    _write(_lab(folder, lab.name, lab.digest), msgspec.json.encode(lab, order="sorted"))


def lab(folder: Path, name: str, digest: str) -> Lab:
    """The lab ``name`` as a result's ``lab_digest`` names it. Raises GradingError."""
    path = _lab(folder, name, digest)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lab)
    except (OSError, msgspec.MsgspecError) as problem:
        raise GradingError(f"{path}: {problem}", f"Grade it again: hpclab grade {name} --again") from None


def _lab(folder: Path, name: str, digest: str) -> Path:
    return folder / "labs" / name / f"{digest or 'none'}.json"


def lay_result(folder: Path, lab: Lab, result: Result, submitted: bytes | None) -> None:
    """Write what belongs to a result from which marks were taken; ``submitted`` is the notebook as received."""
    student, when = result.task.student, _stamp(result.task.received)
    there = folder / "submitted" / student / lab.name
    if submitted is not None:
        _write(there / f"{lab.name}.ipynb", submitted)
    _write(there / TIMESTAMP, when)
    place = _place(folder, lab.name, student)
    _write(place / f"{lab.name}.ipynb", autograded.notebook(result, lab).encode())
    _write(place / TIMESTAMP, when)
    _write(place / RESULT, msgspec.json.encode(result))
    (place / UNMARKED).unlink(missing_ok=True)


def lay_unmarked(folder: Path, lab: Lab, result: Result) -> None:
    """Keep a result from which no mark could be taken beside the older one, if there is one."""
    _write(_place(folder, lab.name, result.task.student) / UNMARKED, msgspec.json.encode(result))


def results(folder: Path, lab: str) -> dict[str, Result]:
    """By student, the result that the marks in the database came from."""
    return _read(folder, lab, RESULT)


def unmarked(folder: Path, lab: str) -> dict[str, Result]:
    """By student, a newer result from which no mark could be taken."""
    return _read(folder, lab, UNMARKED)


def released(folder: Path) -> list[str]:
    """The labs that this class was given."""
    return sorted(
        path.parent.name for path in folder.glob("release/*/*.ipynb") if path.stem == path.parent.name
    )


def _read(folder: Path, lab: str, name: str) -> dict[str, Result]:
    found = {}
    for path in sorted(folder.glob(f"autograded/*/{lab}/{name}")):
        try:
            found[path.parent.parent.name] = msgspec.json.decode(path.read_bytes(), type=Result)
        except (OSError, msgspec.MsgspecError) as problem:
            raise GradingError(f"{path}: {problem}", f"Write it again: hpclab grade {lab}") from None
    return found


def _place(folder: Path, lab: str, student: str) -> Path:
    return folder / "autograded" / student / lab


def _stamp(received: float) -> bytes:
    """A time as nbgrader writes and reads it; the formgrader compares it with the database."""
    return f"{datetime.fromtimestamp(received, UTC):%Y-%m-%d %H:%M:%S.%f} UTC\n".encode()


def _write(path: Path, data: bytes) -> None:
    """Write what has changed: most of a class is as it was."""
    try:
        if path.read_bytes() == data:
            return
    except FileNotFoundError:
        pass
    write_whole(path, data)
