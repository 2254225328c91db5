"""Read files that the learner's program wrote: text, JSON, CSV. Unusable content raises CheckFailed.

Only regular files are opened, and at most MAX_BYTES are read.
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

MAX_BYTES = 1_000_000
TYPE_NAMES = {
    bool: "true or false",  # before int, because bool is a subclass of int
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}
EXPECTED_FILE = "a file of this name"
SCRATCH = Path("/scratch")


def text(path: str | os.PathLike[str]) -> str:
    """Return the content of a text file; bytes that are not UTF-8 become U+FFFD."""
    shown = os.fspath(path)
    data = _read_start(open_regular(path), shown)
    check(
        len(data) <= MAX_BYTES,
        f"{shown} is larger than {MAX_BYTES} bytes",
        "a short text file",
        f"ls -l {shown}",
    )
    return data.decode(errors="replace")


def json_of(path: str | os.PathLike[str], /, **fields: type) -> Any:
    """Return the value in a JSON file; with ``fields`` it must be an object that has them, each of the given type.

    Example: ``json_of("result.json", loss=float, epochs=int)``. An int counts as a float; a bool is not a number.
    """
    shown = os.fspath(path)
    content = text(path)
    look = f"python -m json.tool {shown}"
    try:
        value = json.loads(content.removeprefix("\ufeff"), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as problem:
        what = (
            f"line {problem.lineno}: {problem.msg}"
            if isinstance(problem, json.JSONDecodeError)
            else str(problem)
        )
        raise CheckFailed(f"{shown} is not valid JSON ({what})", "one JSON value", look) from None
    if fields:
        check(
            isinstance(value, dict), f"{shown} holds {_type_name(value)}", "an object with named values", look
        )
    for name, kind in fields.items():
        check(
            name in value, f"{shown} has no value named {name!r}", f"{TYPE_NAMES[kind]} named {name!r}", look
        )
        check(
            is_type(value[name], kind),
            f"{name!r} in {shown} is {shorten(value[name])}",
            TYPE_NAMES[kind],
            look,
        )
    return value


def table(path: str | os.PathLike[str], /, *columns: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header line, which must have at least ``columns``.

    Every value is a string without surrounding blanks; ``number`` converts it.
    """
    shown = os.fspath(path)
    look = f"head {shown}"
    content = text(path).removeprefix("\ufeff")
    expected = f"a header line and comma-separated values{f' with the columns {_format_names(columns)}' if columns else ''}"
    check(
        content.strip() and "\0" not in content,
        f"{shown} {'is not a text file' if content.strip() else 'is empty'}",
        expected,
        look,
    )
    try:
        lines = [
            row
            for row in csv.reader(io.StringIO(content, newline=""), skipinitialspace=True, strict=True)
            if row
        ]
    except csv.Error as problem:
        raise CheckFailed(f"{shown} is not valid CSV ({problem})", expected, look) from None
    header, rows = [name.strip() for name in lines[0]], lines[1:]
    missing = [name for name in columns if name not in header]
    check(
        not missing,
        f"{shown} has the columns {_format_names(header)}",
        f"also {_format_names(missing)}",
        look,
    )
    check(
        len(set(header)) == len(header),
        f"{shown} has two columns with the same name: {_format_names(header)}",
        expected,
        look,
    )
    for count, row in enumerate(rows, 1):
        check(
            len(row) == len(header),
            f"row {count} of {shown} has {len(row)} values",
            f"{len(header)}, one for each column in the header",
            look,
        )
    return [dict(zip(header, (value.strip() for value in row), strict=True)) for row in rows]


def number(value: object, what: str) -> float:
    """Return ``value`` (from a table, JSON or output) as a finite float; ``what`` names it if the check fails."""
    try:
        result = (
            float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        )
    except (ValueError, OverflowError):
        result = math.nan
    check(math.isfinite(result), f"{what} is {shorten(value)}", "a number")
    return result


def job_id(path: str | os.PathLike[str]) -> str:
    """Return the job ID in a file that holds nothing else."""
    content = text(path).strip()
    match = re.fullmatch(r"(\d+)(;\S+)?", content)
    check(
        match,
        f"{os.fspath(path)} holds {content[:60]!r}",
        "a job ID and nothing else",
        f"cat {os.fspath(path)}",
    )
    assert match
    return match[1]


def modified(path: str | os.PathLike[str]) -> float:
    """Return when a file was last changed, in seconds since the epoch: the later of its mtime and ctime.

    touch(1) can set the mtime to any value, but not the ctime.
    """
    descriptor = open_regular(path)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return max(status.st_mtime, status.st_ctime)


def open_regular(path: str | os.PathLike[str]) -> int:
    """Open a regular file and return its descriptor; a FIFO or device is refused without waiting for it."""
    shown, where = os.fspath(path), Path.cwd() / path
    if learner := os.environ.get("HPCLAB_LEARNER"):
        where = _resolve_in_roots(where, shown, learner)
    try:
        if not stat.S_ISREG(where.stat().st_mode):  # opening a device can have effects of its own
            raise CheckFailed(f"{shown} is not a regular file", EXPECTED_FILE, f"ls -ld {shown}")
        descriptor = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise CheckFailed(f"no file {shown}", EXPECTED_FILE, "ls -l") from None
    except (OSError, ValueError) as problem:  # ValueError: a null byte in the name
        why = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise CheckFailed(f"{shown!r} cannot be read ({why})", EXPECTED_FILE, "ls -l") from None
    return descriptor


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _resolve_in_roots(where: Path, shown: str, learner: str) -> Path:
    """Resolve links in ``where`` and refuse a path outside the folders that a check may read.

    A grader may be able to read more than the learner, who chose the path and may have placed links. So only files
    in the lab's folder, the learner's home and the scratch folder are read, and no link may lead out of the folder.
    """
    try:
        real = Path(os.path.realpath(where))
    except ValueError:  # a null byte in the name
        return where
    normalized = Path(os.path.normpath(where))
    root = next((root for root in _allowed_roots(learner) if normalized.is_relative_to(root)), None)
    if root is None:
        raise CheckFailed(
            f"{shown} is outside the folders that a check reads",
            "a file in this folder, your home folder or a scratch folder",
            "ls -l",
        )
    if not real.is_relative_to(root.resolve()):
        raise CheckFailed(f"{shown} is a link to another folder", "a regular file", "ls -l")
    return real


def _allowed_roots(learner: str) -> list[Path]:
    """The folders that may hold the learner's files, the lab's folder first."""
    roots = [Path.cwd()]
    with contextlib.suppress(KeyError):
        roots.append(Path(pwd.getpwnam(learner).pw_dir))
    return [*roots, SCRATCH] if len(roots[-1].parts) > 1 else [roots[0], SCRATCH]


def _read_start(descriptor: int, shown: str) -> bytes:
    try:
        with open(descriptor, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise CheckFailed(f"{shown} cannot be read ({problem.strerror})", EXPECTED_FILE) from None


def is_type(value: object, kind: type) -> bool:
    if kind in (int, float) and isinstance(value, bool):
        return False
    if isinstance(value, float) and not math.isfinite(value):  # 1e999
        return False
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _type_name(value: object) -> str:
    return next((name for kind, name in TYPE_NAMES.items() if isinstance(value, kind)), "null")


def shorten(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    shown = _type_name(value) if isinstance(value, list | dict | None) else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _format_names(names: object) -> str:
    return ", ".join(str(name)[:30] or "(empty)" for name in list(names)[:12])  # type: ignore[call-overload]
