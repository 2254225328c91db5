"""Files that a learner's program wrote, read as data: whatever is in them, a check fails in words.

Only regular files are opened, and only so much of them is read.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import pwd
import re
import stat
from pathlib import Path
from typing import Any, NoReturn

from hpclab.evidence.checks import CheckFailed, check

MOST_BYTES = 1_000_000
KINDS = {
    bool: "true or false",  # before int, of which bool is a kind
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}
WRITTEN = "that this file was written"
SCRATCH = Path("/scratch")


def text(path: str | os.PathLike[str]) -> str:
    """The content of a text file below this folder; bytes that are no UTF-8 become U+FFFD."""
    shown = os.fspath(path)
    data = _read(_opened(path), shown)
    check(
        len(data) <= MOST_BYTES,
        f"{shown} is larger than {MOST_BYTES} bytes",
        "a short text file",
        f"ls -l {shown}",
    )
    return data.decode(errors="replace")


def json_of(path: str | os.PathLike[str], /, **fields: type) -> Any:
    """The value in a JSON file. With ``fields`` it must be an object that has them, each of its type:

    ``json_of("result.json", loss=float, epochs=int)``. A whole number is a float too, true and false are no numbers.
    """
    shown = os.fspath(path)
    content = text(path)
    look = f"python -m json.tool {shown}"
    try:
        value = json.loads(content.removeprefix("\ufeff"), parse_constant=_no_number)
    except (ValueError, RecursionError) as problem:
        what = (
            f"line {problem.lineno}: {problem.msg}"
            if isinstance(problem, json.JSONDecodeError)
            else str(problem)
        )
        raise CheckFailed(f"{shown} is no JSON ({what})", "one JSON value", look) from None
    if fields:
        check(isinstance(value, dict), f"{shown} holds {_kind(value)}", "an object with named values", look)
    for name, kind in fields.items():
        check(name in value, f"{shown} has no value named {name!r}", f"{KINDS[kind]} named {name!r}", look)
        check(_is(value[name], kind), f"{name!r} in {shown} is {_short(value[name])}", KINDS[kind], look)
    return value


def table(path: str | os.PathLike[str], /, *columns: str) -> list[dict[str, str]]:
    """The rows of a CSV file with a header line; it must have at least these ``columns``.

    Every value is a text without blanks around it: see ``number``.
    """
    shown = os.fspath(path)
    look = f"head {shown}"
    content = text(path).removeprefix("\ufeff")
    wanted = (
        f"a header line and comma-separated values{f' with the columns {_names(columns)}' if columns else ''}"
    )
    check(
        content.strip() and "\0" not in content,
        f"{shown} {'is no text' if content.strip() else 'is empty'}",
        wanted,
        look,
    )
    try:
        lines = [
            row
            for row in csv.reader(io.StringIO(content, newline=""), skipinitialspace=True, strict=True)
            if row
        ]
    except csv.Error as problem:
        raise CheckFailed(f"{shown} is no CSV ({problem})", wanted, look) from None
    header, rows = [name.strip() for name in lines[0]], lines[1:]
    missing = [name for name in columns if name not in header]
    check(not missing, f"{shown} has the columns {_names(header)}", f"also {_names(missing)}", look)
    check(
        len(set(header)) == len(header),
        f"{shown} has two columns of one name: {_names(header)}",
        wanted,
        look,
    )
    for count, row in enumerate(rows, 1):
        check(
            len(row) == len(header),
            f"row {count} of {shown} has {len(row)} values",
            f"{len(header)}, one for each column of its header",
            look,
        )
    return [dict(zip(header, (value.strip() for value in row), strict=True)) for row in rows]


def number(value: object, what: str) -> float:
    """``value`` (of a table, of JSON, of a line of output) as a finite number; ``what`` names it in the failure."""
    try:
        found = (
            float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        )
    except (ValueError, OverflowError):
        found = math.nan
    check(math.isfinite(found), f"{what} is {_short(value)}", "a number")
    return found


def job_id(path: str | os.PathLike[str]) -> str:
    """The job ID that a file holds, and nothing else."""
    content = text(path).strip()
    found = re.fullmatch(r"(\d+)(;\S+)?", content)
    check(
        found,
        f"{os.fspath(path)} holds {content[:60]!r}",
        "a job ID and nothing else",
        f"cat {os.fspath(path)}",
    )
    assert found
    return found[1]


def modified(path: str | os.PathLike[str]) -> float:
    """When a file was last written, in seconds since the epoch; or renamed, or given other rights or times.

    The time of writing can be set to any other with touch(1); that of the last change cannot.
    """
    descriptor = _opened(path)
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return max(found.st_mtime, found.st_ctime)


def _opened(path: str | os.PathLike[str]) -> int:
    """A descriptor of a regular file; anything else fails the check, and no FIFO or device makes it wait."""
    shown, where = os.fspath(path), Path.cwd() / path
    if learner := os.environ.get("HPCLAB_LEARNER"):
        where = _own(where, shown, learner)
    try:
        if not stat.S_ISREG(where.stat().st_mode):  # opening a device can have effects of its own
            raise CheckFailed(f"{shown} is no regular file", WRITTEN, f"ls -ld {shown}")
        descriptor = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise CheckFailed(f"no file {shown}", WRITTEN, "ls -l") from None
    except (OSError, ValueError) as problem:  # ValueError: a null byte in the name
        why = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise CheckFailed(f"{shown!r} cannot be read ({why})", WRITTEN, "ls -l") from None
    return descriptor


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _own(where: Path, shown: str, learner: str) -> Path:
    """``where`` without links. A grader may read more than the learner, who chose the path, or what lies there:

    so nothing is read but what is in the lab's folder, in the learner's home or in a scratch folder, and no
    link leads from one of them to another place.
    """
    try:
        real = Path(os.path.realpath(where))
    except ValueError:  # a null byte in the name
        return where
    named = Path(os.path.normpath(where))
    home = next((root for root in _roots(learner) if named.is_relative_to(root)), None)
    if home is None:
        raise CheckFailed(
            f"{shown} is outside the places where your work is looked for",
            "a file in this folder, in your home or in a scratch folder",
            "ls -l",
        )
    if not real.is_relative_to(home.resolve()):
        raise CheckFailed(f"{shown} is a link to another place", "a file of its own", "ls -l")
    return real


def _roots(learner: str) -> list[Path]:
    """Where a learner's files may be, the lab's folder first."""
    roots = [Path.cwd()]
    with contextlib.suppress(KeyError):
        roots.append(Path(pwd.getpwnam(learner).pw_dir))
    return [*roots, SCRATCH] if len(roots[-1].parts) > 1 else [roots[0], SCRATCH]


def _read(descriptor: int, shown: str) -> bytes:
    try:
        with open(descriptor, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as problem:
        raise CheckFailed(f"{shown} cannot be read ({problem.strerror})", WRITTEN) from None


def _is(value: object, kind: type) -> bool:
    if kind in (int, float) and isinstance(value, bool):
        return False
    if isinstance(value, float) and not math.isfinite(value):  # 1e999
        return False
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _kind(value: object) -> str:
    return next((words for kind, words in KINDS.items() if isinstance(value, kind)), "null")


def _short(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    shown = _kind(value) if isinstance(value, list | dict | None) else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _names(names: object) -> str:
    return ", ".join(str(name)[:30] or "(empty)" for name in list(names)[:12])  # type: ignore[call-overload]
