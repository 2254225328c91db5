"""The folders beside nbgrader's database, under nbgrader's names: what the formgrader shows, and the results kept.

    source/LAB/LAB.ipynb               with answers and hidden tests      release/LAB/LAB.ipynb   without
    submitted/STUDENT/LAB/             the notebook as it was received, timestamp.txt
    autograded/STUDENT/LAB/            the notebook to look at, timestamp.txt, result.json
                                       unmarked.json: a result that gives no mark
    labs/LAB/DIGEST.json               the lab as it was graded, including hidden tests

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


def write_lab(folder: Path, lab: Lab, source: bytes) -> tuple[Path, Path]:
    """Write the lab's folders in ``source/`` and ``release/``, and return both notebooks' paths.

    ``source`` is the notebook with answers and hidden tests.
    """
    source_path = folder / "source" / lab.name / f"{lab.name}.ipynb"
    release_path = folder / "release" / lab.name / f"{lab.name}.ipynb"
    _write(source_path, source)
    _write(release_path, lab.notebook.encode())
    for path, data in select_files(lab).items():
        _write(release_path.parent / path, data)
    return source_path, release_path


def select_files(lab: Lab) -> dict[str, bytes]:
    """Return the files in the same folder as the student's notebook."""
    top = f"{lab.module}/{lab.name}/"
    return {path.removeprefix(top): data for path, data in lab.files.items() if path.startswith(top)}


def keep_lab(folder: Path, lab: Lab) -> None:
    """Keep the lab in its present state: feedback and reports describe the lab that was graded."""
    _write(_lab_path(folder, lab.name, lab.digest), msgspec.json.encode(lab, order="sorted"))


def read_lab(folder: Path, name: str, digest: str) -> Lab:
    """Return the lab ``name`` in the state that ``digest``, a result's ``lab_digest``, names. Raises GradingError."""
    path = _lab_path(folder, name, digest)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lab)
    except (OSError, msgspec.MsgspecError) as problem:
        raise GradingError(f"{path}: {problem}", f"Grade it again: hpclab grade {name} --again") from None


def _lab_path(folder: Path, name: str, digest: str) -> Path:
    return folder / "labs" / name / f"{digest or 'none'}.json"


def write_result(folder: Path, lab: Lab, result: Result, submitted: bytes | None) -> None:
    """Write the files of a result that gives marks; ``submitted`` is the notebook as it was received."""
    student, when = result.task.student, _format_time(result.task.received)
    submission = folder / "submitted" / student / lab.name
    if submitted is not None:
        _write(submission / f"{lab.name}.ipynb", submitted)
    _write(submission / TIMESTAMP, when)
    autograded_folder = _autograded_folder(folder, lab.name, student)
    _write(autograded_folder / f"{lab.name}.ipynb", autograded.build_notebook(result, lab).encode())
    _write(autograded_folder / TIMESTAMP, when)
    _write(autograded_folder / RESULT, msgspec.json.encode(result))
    (autograded_folder / UNMARKED).unlink(missing_ok=True)


def write_unmarked(folder: Path, lab: Lab, result: Result) -> None:
    """Keep a result that gives no mark, beside an older one if there is one."""
    _write(_autograded_folder(folder, lab.name, result.task.student) / UNMARKED, msgspec.json.encode(result))


def read_results(folder: Path, lab: str) -> dict[str, Result]:
    """Return, by student, the result that the marks in the database came from."""
    return _read(folder, lab, RESULT)


def read_unmarked(folder: Path, lab: str) -> dict[str, Result]:
    """Return, by student, a newer result that gives no mark."""
    return _read(folder, lab, UNMARKED)


def list_released(folder: Path) -> list[str]:
    """Return the labs that were released to this course."""
    return sorted(
        path.parent.name for path in folder.glob("release/*/*.ipynb") if path.stem == path.parent.name
    )


def _read(folder: Path, lab: str, name: str) -> dict[str, Result]:
    results = {}
    for path in sorted(folder.glob(f"autograded/*/{lab}/{name}")):
        try:
            results[path.parent.parent.name] = msgspec.json.decode(path.read_bytes(), type=Result)
        except (OSError, msgspec.MsgspecError) as problem:
            raise GradingError(f"{path}: {problem}", f"Write it again: hpclab grade {lab}") from None
    return results


def _autograded_folder(folder: Path, lab: str, student: str) -> Path:
    return folder / "autograded" / student / lab


def _format_time(received: float) -> bytes:
    """Format a time as nbgrader writes and reads it; the formgrader compares it with the database."""
    return f"{datetime.fromtimestamp(received, UTC):%Y-%m-%d %H:%M:%S.%f} UTC\n".encode()


def _write(path: Path, data: bytes) -> None:
    """Write a file if its content changes; most files of a course don't."""
    try:
        if path.read_bytes() == data:
            return
    except FileNotFoundError:
        pass
    write_whole(path, data)
