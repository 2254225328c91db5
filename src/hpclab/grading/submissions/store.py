"""Submissions, stored by content; the receipt of each version is its record in the ledger.

    Store(folder).receive(student, lab, staged, source, when, notes=()) -> Receipt
    Store(folder).receipts(lab="", student="") -> list[Receipt]      by lab, student, number
    Store(folder).files(hash) -> Path                                a folder; verified at each call
    Store(folder).read(hash, path, most_bytes) -> bytes              one file; verified
    Store(folder).manifest(hash) -> dict[str, ManifestEntry]                 sizes and hashes; verified
    Receipt(student, lab, number, hash, received, source, files, notes)

The notebook of the lab NAME is ``NAME.ipynb`` at the top, with the other submitted files beside it.

``objects/HASH/`` has ``manifest.json`` and ``files/``. HASH is the SHA-256 of the manifest's bytes, which depend
only on the content (sorted paths, sizes, SHA-256 of each file, as canonical JSON): the same content twice is one
object. An object is written to a temporary folder, flushed, renamed, read back and never changed.

Receiving a submission writes the object, then the record; a crash between them leaves an object without a record.
The texts in ``receipts/`` are generated from the records, for students. Versions up to 0.1 also kept each receipt
there as JSON, which is no longer read, since the ledger has every field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from hpclab import locks
from hpclab.errors import GradingError
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.submissions import objects, student_ids
from hpclab.grading.submissions.objects import ManifestEntry

LOCK = ".receive.lock"


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
    """The objects and receipts in a course's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = folder / "objects"
        self._ledger = Ledger(folder)
        self._read = 0  # bytes of the ledger that ``_known`` is derived from
        self._known: dict[tuple[str, str], list[Receipt]] = {}  # by lab and student

    def receive(
        self, student: str, lab: str, staged: Path, source: str, when: float, notes: tuple[str, ...] = ()
    ) -> Receipt:
        """Store the files in ``staged`` (regular files only) and return the receipt, read back from disk."""
        student_ids.check_id(student)
        student_ids.check_id(lab, what="lab")
        name, entries = objects.put(self.objects, staged)
        objects.verify(self.objects, name)
        with locks.held(self.folder / LOCK, "another reception to finish", seconds=120, every=0.005):
            number = 1 + max((one.number for one in self._versions(lab, student)), default=0)
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
            fields = msgspec.to_builtins(receipt)
            del fields["record"]
            seal = self._ledger.append("received", **fields)
            back = self._versions(lab, student)[-1:]
        if back != [msgspec.structs.replace(receipt, record=seal)]:
            raise GradingError(
                f"{self._ledger.path} does not read back as it was written", "Check this disk: hpclab audit"
            )
        return back[0]

    def receipts(self, lab: str = "", student: str = "") -> list[Receipt]:
        """Return receipts. Raises GradingError where the ledger cannot be read."""
        self._refresh()
        every = [one for versions in self._known.values() for one in versions]
        matching = [one for one in every if lab in ("", one.lab) and student in ("", one.student)]
        return sorted(matching, key=lambda one: (one.lab, one.student, one.number))

    def files(self, hash: str) -> Path:
        """Return the folder with the files of ``hash``. Raises GradingError when they were changed."""
        objects.verify(self.objects, hash)
        return self.objects / hash / "files"

    def manifest(self, hash: str) -> dict[str, ManifestEntry]:
        """Return the manifest of ``hash``: path → size and SHA-256."""
        return objects.manifest(self.objects, hash)

    def read(self, hash: str, path: str, most_bytes: int) -> bytes:
        """Return one file of ``hash``. Raises GradingError when it is missing, changed or larger than ``most_bytes``."""
        return objects.read(self.objects, hash, path, most_bytes)

    def _versions(self, lab: str, student: str) -> list[Receipt]:
        self._refresh()
        return self._known.get((lab, student), [])

    def _refresh(self) -> None:
        """Read the ledger's new records only, because a course has thousands."""
        records, self._read = self._ledger.since(self._read)
        for record in records:
            if record.get("kind") == "received":
                receipt = receipt_of(record, self._ledger.path)
                self._known.setdefault((receipt.lab, receipt.student), []).append(receipt)


def receipt_of(record: dict[str, Any], ledger: Path) -> Receipt:
    """Return the receipt in a record of kind ``received``. Raises GradingError."""
    try:
        return msgspec.convert({**record, "record": record.get("seal")}, type=Receipt)
    except msgspec.ValidationError as problem:
        raise GradingError(f"{ledger}: a receipt is broken: {problem}", "Look with `hpclab audit`.") from None
