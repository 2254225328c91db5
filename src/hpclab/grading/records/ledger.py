"""``ledger.jsonl``: an append-only record of everything received, graded, changed and published, in order.

    Ledger(folder).append(kind, **fields) -> str          the new record's seal
    Ledger(folder).records(kind="", **match) -> Iterator[dict]   in order; ``match``: fields that must be equal
    Ledger(folder).head() -> tuple[int, str]              the number of records, and the last one's seal
    Ledger(folder).verify() -> list[str]                  problems, the first broken line first

A record is one line of canonical JSON (sorted keys, no spaces, ASCII) with ``kind``, ``at`` (seconds since
the epoch by this machine's clock), its own fields, ``previous`` (the seal of the line before; 64 zeros for
the first) and ``seal``, the SHA-256 of the line without it. So a changed, inserted, moved or missing line
is detected. Lines removed at the end can't be detected from the file alone: note the head elsewhere
(``hpclab audit`` prints it); every receipt names its record's seal, too. ``hash`` is always a submission's,
as in ``model.Task``.

Several processes may append at once. An unfinished line left by a crash is moved into ``ledger.torn-N``
and recorded as ``mended``. FIELDS lists the required fields of each kind; others are allowed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpclab import locks
from hpclab.errors import GradingError

NAME = "ledger.jsonl"
FIRST = "0" * 64
OWN = ("kind", "at", "previous", "seal")  # fields of every record, besides those of its kind
LONGEST = 1 << 20  # bytes of one record; too small for feedback and outputs on purpose
FIELDS: dict[str, tuple[str, ...]] = {
    "received": ("lab", "student", "number", "hash", "received", "source"),
    "queued": ("lab", "student", "number", "uuid"),
    # result: the path of the result file in the course's folder; result_hash: the SHA-256 of its bytes
    "graded": (
        *("lab", "student", "number", "hash", "uuid", "lab_digest", "grader", "image", "seed"),
        *("verdict", "earned", "points", "result", "result_hash"),
    ),
    "published": ("lab", "student"),
    "override": ("lab", "student", "by", "reason"),
    "exported": ("file",),
    "mended": ("aside", "bytes", "sha256"),
}


class Ledger:
    """The ledger in a course's folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def append(self, kind: str, **fields: Any) -> str:
        """Append one record and flush it to disk. Raises GradingError when the last record is broken."""
        missing = [name for name in FIELDS[kind] if name not in fields]
        if missing or set(OWN) & set(fields):
            raise ValueError(
                f"a record {kind!r} needs {FIELDS[kind]} and cannot have {OWN}; missing: {missing}"
            )
        with locks.held(self.path, "the ledger", seconds=120, every=0.002) as file:
            new = os.fstat(file).st_size == 0
            previous = self._repair_end(file)
            line, found = _line(kind, previous, fields)
            _write(file, line)
        if new:
            _sync_folder(self.path.parent)
        return found

    def records(self, kind: str = "", **match: Any) -> Iterator[dict[str, Any]]:
        """Return records in order, without an unfinished last line. Raises GradingError at an invalid line."""
        for number, line in self._lines():
            record = self._decoded(line, f", line {number}")
            if kind in ("", record.get("kind")) and all(record.get(key) == match[key] for key in match):
                yield record

    def since(self, offset: int) -> tuple[list[dict[str, Any]], int]:
        """Return the complete records after ``offset`` bytes, and the offset after them. Raises GradingError."""
        if not self.path.exists():
            return [], 0
        with self.path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        records = [self._decoded(line, "") for line in whole.splitlines()]
        return records, offset + len(whole)

    def head(self) -> tuple[int, str]:
        """Return the number of complete records, and the last one's seal."""
        count, found = 0, FIRST
        for record in self.records():
            count, found = count + 1, str(record.get("seal"))
        return count, found

    def verify(self) -> list[str]:
        """Return all problems, in the order of the lines."""
        found, previous = [], FIRST
        for number, line in self._lines():
            why, own = check(line, previous)
            found += [f"{self.path}, line {number}: {one}" for one in why]
            previous = own or previous
        if torn := self._torn():
            found.append(
                f"{self.path}: its last line is unfinished ({torn} bytes, left by a crash);"
                " the next record will put it aside"
            )
        return found

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield number, line[:-1]

    def _torn(self) -> int:
        if not self.path.exists():
            return 0
        data = self.path.read_bytes()
        return len(data) - (data.rfind(b"\n") + 1)

    def _repair_end(self, file: int) -> str:
        """Return the last complete record's seal; an unfinished line after it is set aside and recorded."""
        size = os.fstat(file).st_size
        start = max(0, size - 2 * LONGEST)
        tail = os.pread(file, size - start, start)
        whole = tail.rfind(b"\n") + 1
        if not whole and start:
            raise GradingError(
                f"{self.path}: its last line is longer than any record",
                "See what wrote it: hpclab audit",
            )
        torn, last = tail[whole:], tail[:whole].split(b"\n")[-2] if whole else b""
        previous = FIRST
        if last:
            why, previous = check(last, None)
            if why:
                raise GradingError(
                    f"{self.path}: its last record is broken: {why[0]}",
                    "Nothing is written behind it. Look with `hpclab audit`, and put the file back from a backup.",
                )
        if torn:
            aside = self._set_aside(torn)
            os.ftruncate(file, start + whole)
            fields = {"aside": aside.name, "bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            line, previous = _line("mended", previous, fields)
            _write(file, line)
        return previous

    def _set_aside(self, torn: bytes) -> Path:
        number = 1
        while True:
            aside = self.path.with_name(f"ledger.torn-{number}")
            try:
                with aside.open("xb") as out:
                    out.write(torn)
                    out.flush()
                    os.fsync(out.fileno())
            except FileExistsError:
                if aside.read_bytes() == torn:  # an earlier crash before the record was written
                    return aside
                number += 1
                continue
            _sync_folder(aside.parent)
            return aside

    def _decoded(self, line: bytes, where: str) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise GradingError(f"{self.path}{where}: a line is not a record", "Look with `hpclab audit`.")
        return record


def check(line: bytes, previous: str | None) -> tuple[list[str], str]:
    """Return the problems of a line that follows the seal ``previous`` (None: not compared), and the line's seal."""
    try:
        record = json.loads(line)
        own = str(record["seal"])
        body = {key: value for key, value in record.items() if key != "seal"}
        kind, behind = record["kind"], record["previous"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ["it is not a record"], ""
    why = []
    if hashlib.sha256(canonical(body)).hexdigest() != own or canonical(record) != line:
        why.append("it was changed: its seal does not fit its text")
    if previous is not None and behind != previous:
        why.append("the line before it is not the one it was written behind")
    if kind not in FIELDS:
        why.append(f"there is no kind of record {str(kind)!r:.40}")
    else:
        why += [f"{name} is missing" for name in FIELDS[kind] if name not in record]
    return why, own


def canonical(value: object) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, ASCII. Raises ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _line(kind: str, previous: str, fields: dict[str, Any]) -> tuple[bytes, str]:
    body = {**fields, "kind": kind, "at": round(time.time(), 6), "previous": previous}
    found = hashlib.sha256(canonical(body)).hexdigest()
    line = canonical({**body, "seal": found}) + b"\n"
    if len(line) > LONGEST:
        raise ValueError(
            f"a record {kind!r} of {len(line)} bytes: keep such things in a file and note its hash"
        )
    return line, found


def _write(file: int, line: bytes) -> None:
    os.lseek(file, 0, os.SEEK_END)
    left = memoryview(line)
    while left:
        left = left[os.write(file, left) :]
    os.fsync(file)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
