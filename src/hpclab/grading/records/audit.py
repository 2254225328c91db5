"""Check a course's records: the ledger, objects, results and receipts, each against the others.

    audit(folder) -> AuditReport(problems, notes, records, head)

``problems`` name the place and what is wrong; ``notes`` list what a crash may leave and needs no repair.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from hpclab.errors import GradingError
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.submissions import objects, student_ids
from hpclab.grading.submissions.store import receipt_of

Key = tuple[str, str, int]
# In the text of a receipt, and in the JSON receipts of versions up to 0.1.
RECORD = re.compile(rb'(?:^record +|"record":")([0-9a-f]{64})', re.MULTILINE)


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an audit. ``head`` is the last record's seal: noted elsewhere, it proves that no record is missing."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    records: int
    head: str


def audit(folder: Path, *, head: str = "") -> AuditReport:
    """Check everything. ``head``: a seal noted earlier, which must be in the ledger."""
    ledger = Ledger(folder)
    problems = ledger.verify()
    try:
        records = list(ledger.records())
    except GradingError as problem:
        return AuditReport(problems=(*problems, problem.problem), notes=(), records=0, head="")
    if head and head not in {record["seal"] for record in records}:
        problems.append(
            f"{ledger.path}: no record has the seal {student_ids.shown(head)}: records are missing or changed"
        )
    received = {
        key: one for one in records if one.get("kind") == "received" and (key := _key(one)) is not None
    }
    problems += _receipts(folder, ledger.path, records)
    problems += _objects(folder, received)
    problems += _results(folder, records, received)
    return AuditReport(
        problems=tuple(problems),
        notes=tuple(_notes(folder, records, received)),
        records=len(records),
        head=str(records[-1]["seal"]) if records else "",
    )


def _key(record: dict[str, Any]) -> Key | None:
    found = record.get("lab"), record.get("student"), record.get("number")
    lab, student, number = found
    if isinstance(lab, str) and isinstance(student, str) and isinstance(number, int):
        return lab, student, number
    return None


def _receipts(folder: Path, ledger: Path, records: list[dict[str, Any]]) -> Iterator[str]:
    """Check that each record of a received submission is a receipt, and each receipt names such a record."""
    seals = set()
    for record in records:
        if record.get("kind") == "received":
            seals.add(record.get("seal"))
            try:
                receipt_of(record, ledger)
            except GradingError as problem:
                yield problem.problem
    for path in sorted((folder / "receipts").glob("*/*/[!.]*.*")):
        named = RECORD.search(path.read_bytes())
        if named is None or named[1].decode() not in seals:
            yield f"{path}: the ledger has no record of this receipt"


def _objects(folder: Path, received: dict[Key, dict[str, Any]]) -> Iterator[str]:
    """Check that every received submission is still stored, byte for byte."""
    whose: dict[str, list[str]] = {}
    for (lab, student, number), record in received.items():
        whose.setdefault(str(record.get("hash")), []).append(f"{lab} {student} {number}")
    for name, receipts in whose.items():
        try:
            objects.verify(folder / "objects", name)
        except GradingError as problem:
            yield f"{problem.problem} (receipt {'; '.join(receipts)})"


def _results(
    folder: Path, records: list[dict[str, Any]], received: dict[Key, dict[str, Any]]
) -> Iterator[str]:
    """Check that each mark has its result file, each result file its record, and both belong to a submission."""
    known: dict[str, str] = {}
    for record in records:
        if record.get("kind") != "graded":
            continue
        path, wanted = str(record.get("result")), record.get("result_hash")
        what = f"the mark of {record.get('student')} for {record.get('lab')}, version {record.get('number')}"
        key = _key(record)
        if key is None or key not in received or received[key].get("hash") != record.get("hash"):
            yield f"{what}: the ledger has no such submission"
        if path.startswith("/") or ".." in path.split("/"):
            yield f"{what}: its result lies outside the class: {student_ids.shown(path)}"
            continue
        if path in known and known[path] != wanted:
            yield f"{what}: two records name {path} and differ in what it holds"
        known[path] = str(wanted)
        try:
            found = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        except OSError as problem:
            yield f"{what}: {folder / path}: {problem.strerror}"
            continue
        if found != wanted:
            yield f"{what}: {folder / path} is not what was recorded"
    for file in _unrecorded(folder, records):
        if not _was_queued(file, records):
            yield f"{file}: the ledger has no record of this result, nor of a run that it comes from"


def _unrecorded(folder: Path, records: list[dict[str, Any]]) -> Iterator[Path]:
    """Return results that no record of a mark names."""
    known = {str(record.get("result")) for record in records if record.get("kind") == "graded"}
    for file in sorted((folder / "batches").glob("*/*/results/*.json")):
        if file.relative_to(folder).as_posix() not in known and not file.name.startswith("."):
            yield file


def _was_queued(file: Path, records: list[dict[str, Any]]) -> bool:
    uuid = _uuid(file)
    return any(record.get("kind") == "queued" and record.get("uuid") == uuid for record in records)


class _Task(msgspec.Struct):
    uuid: str = ""


class _Result(msgspec.Struct):
    task: _Task = msgspec.field(default_factory=_Task)


def _uuid(file: Path) -> str:
    """Return the UUID of the run that a result names."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Result).task.uuid
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _notes(folder: Path, records: list[dict[str, Any]], received: dict[Key, dict[str, Any]]) -> Iterator[str]:
    recorded = {record.get("aside") for record in records if record.get("kind") == "mended"}
    for record in records:
        if record.get("kind") == "mended":
            yield (
                f"a crash left an unfinished line of {record.get('bytes')} bytes in the ledger; it is kept in"
                f" {record.get('aside')}"
            )
    for path in sorted(folder.glob("ledger.torn-*")):
        if path.name not in recorded:
            yield f"{path}: an unfinished line that was put aside without a record"
    for file in _unrecorded(folder, records):
        if _was_queued(file, records):  # the grader failed, or the marks were not accepted
            yield f"{file}: no mark was taken from it"
    used = {str(record.get("hash")) for record in received.values()}
    for path in sorted((folder / "objects").glob("*")):
        if path.name not in used:
            yield f"{path}: no receipt names it (a reception that was cut off leaves this)"
