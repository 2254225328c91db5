"""What was handed in, kept by content, and a receipt for each version.

    Store(folder).receive(student, lab, staged, source, when, notes=()) -> Receipt
    Store(folder).receipts(lab="", student="") -> list[Receipt]      by lab, student, number
    Store(folder).latest(lab) -> dict[str, Receipt]                  the version that counts, by student
    Store(folder).files(hash) -> Path                                a folder; verified at each call
    Store(folder).read(hash, path, most_bytes) -> bytes              one file; verified
    Store(folder).manifest(hash) -> dict[str, Entry]                 sizes and hashes; verified
    Receipt(student, lab, number, hash, received, source, files, notes)

The notebook of the lab NAME lies at the top as ``NAME.ipynb``, what else was handed in beside it.

``objects/HASH/`` holds ``manifest.json`` and ``files/``. HASH is the SHA-256 of the manifest's bytes, and the
manifest (sorted paths, sizes, SHA-256 of each file, as canonical JSON) is all that decides it: the same content
twice is one object. An object is written aside, flushed, renamed, read back and never changed.

Order of a reception, so that a crash at any point loses nothing: object, receipt aside (``.N.json.pending``),
record in the ledger, receipt in its place. The next reception from this student, and ``settle``, finish what a crash left.

The version that counts is the one received last, by the server's clock.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from hpclab import locks
from hpclab.errors import GradingError
from hpclab.files import write_whole
from hpclab.grading.records.ledger import Ledger, canonical
from hpclab.grading.submissions import objects, student_ids
from hpclab.grading.submissions.objects import Entry

PENDING = re.compile(r"\.([0-9]+)\.json\.pending")
GIVEN = re.compile(r"([0-9]+)\.json")


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one student's submission. ``received`` is the server's time, ``files`` path → bytes."""

    student: str
    lab: str
    number: int
    hash: str
    received: float
    source: str
    files: dict[str, int]
    notes: tuple[str, ...] = ()
    record: str = ""  # the seal of its record in the ledger


class Store:
    """The objects and receipts in a class's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = folder / "objects"
        self._receipts = folder / "receipts"
        self._ledger = Ledger(folder)

    def receive(
        self, student: str, lab: str, staged: Path, source: str, when: float, notes: tuple[str, ...] = ()
    ) -> Receipt:
        """Keep what lies in ``staged`` (regular files only) and give its receipt, read back from the disk."""
        student_ids.check_id(student)
        student_ids.check_id(lab, what="lab")
        name, entries = objects.put(self.objects, staged)
        objects.verify(self.objects, name)
        place = self._receipts / lab / student
        with locks.held(place / ".lock", "another reception", seconds=120):
            self._settle(place)
            number = 1 + max((int(found[1]) for found in _matches(place, GIVEN)), default=0)
            receipt = Receipt(
                student=student,
                lab=lab,
                number=number,
                hash=name,
                received=when,
                source=source,
                files={path: entry.size for path, entry in entries.items()},
                notes=notes,
            )
            write_whole(place / f".{number}.json.pending", _encoded(receipt))
            seal = self._ledger.append("received", **_fields(receipt))
            return self._give(place, msgspec.structs.replace(receipt, record=seal))

    def receipts(self, lab: str = "", student: str = "") -> list[Receipt]:
        """Receipts given. Raises GradingError at one that cannot be read."""
        found = [
            read_receipt(path)
            for path in self._receipts.glob(f"{lab or '*'}/{student or '*'}/*.json")
            if GIVEN.fullmatch(path.name)
        ]
        return sorted(found, key=lambda one: (one.lab, one.student, one.number))

    def latest(self, lab: str) -> dict[str, Receipt]:
        """For each student the version of ``lab`` that counts: the one received last."""
        found: dict[str, Receipt] = {}
        for one in sorted(self.receipts(lab), key=lambda one: (one.received, one.number)):
            found[one.student] = one
        return dict(sorted(found.items()))

    def files(self, hash: str) -> Path:
        """The folder with the files of ``hash``. Raises GradingError when they are not what was received."""
        objects.verify(self.objects, hash)
        return self.objects / hash / "files"

    def manifest(self, hash: str) -> dict[str, Entry]:
        """What belongs to ``hash``: path → size and SHA-256."""
        return objects.manifest(self.objects, hash)

    def read(self, hash: str, path: str, most_bytes: int) -> bytes:
        """One file of ``hash``. Raises GradingError when it is missing, changed or larger than ``most_bytes``."""
        return objects.read(self.objects, hash, path, most_bytes)

    def settle(self) -> int:
        """Finish receptions that a crash cut off; how many."""
        count = 0
        for lock in self._receipts.glob("*/*/.*.json.pending"):
            with locks.held(lock.parent / ".lock", "another reception", seconds=120):
                count += self._settle(lock.parent)
        return count

    def _settle(self, place: Path) -> int:
        count = 0
        for found in _matches(place, PENDING):
            pending = place / found[0]
            match = {"lab": place.parent.name, "student": place.name, "number": int(found[1])}
            record = next(self._ledger.records("received", **match), None)
            given = place / f"{found[1]}.json"
            if record is None or given.exists():  # never recorded, so no receipt was given; or all was done
                pending.unlink()
                continue
            self._give(place, receipt_of(record))
            count += 1
        return count

    def _give(self, place: Path, receipt: Receipt) -> Receipt:
        """Lay the receipt down, never over another one, and read it back."""
        final, pending = place / f"{receipt.number}.json", place / f".{receipt.number}.json.pending"
        write_whole(pending, _encoded(receipt))
        os.link(pending, final)  # fails where a file of this name stands
        objects.sync_folder(place)
        pending.unlink()
        back = read_receipt(final)
        if back != receipt:
            raise GradingError(f"{final} does not read back as it was written", "Check this disk.")
        return back


def read_receipt(path: Path) -> Receipt:
    """The receipt in ``path``. Raises GradingError."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise GradingError(f"{path}: {problem}", "Look with `hpclab audit`.") from None
    named = (path.parent.parent.name, path.parent.name, path.name)
    if named != (found.lab, found.student, f"{found.number}.json"):
        raise GradingError(f"{path}: it is the receipt of another submission", "Look with `hpclab audit`.")
    return found


def receipt_of(record: dict[str, Any]) -> Receipt:
    """The receipt that a record ``received`` tells of."""
    return msgspec.convert({**record, "record": record["seal"]}, type=Receipt)


def _fields(receipt: Receipt) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(receipt)
    del fields["record"]
    return fields


def _encoded(receipt: Receipt) -> bytes:
    return canonical(msgspec.to_builtins(receipt)) + b"\n"


def _matches(place: Path, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    return [found for path in place.iterdir() if (found := pattern.fullmatch(path.name))]
