"""The store: content by its hash, receipts that are never written over, and crashes between the steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hpclab.errors import GradingError, UsageError
from hpclab.grading.records.audit import audit
from hpclab.grading.records.ledger import Ledger, canonical
from hpclab.grading.submissions import objects
from hpclab.grading.submissions import store as storing
from hpclab.grading.submissions.store import Receipt, Store

NOTEBOOK = b'{"cells": []}'


def staged(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """A folder with ``files``, another one at each call."""
    folder = tmp_path / f"staged-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder


def receive(tmp_path: Path, files: dict[str, bytes], student: str = "ada", when: float = 10.0) -> Receipt:
    return Store(tmp_path / "class").receive(student, "ex01", staged(tmp_path, files), "test", when)


def test_what_is_received_is_read_back(tmp_path: Path) -> None:
    receipt = receive(tmp_path, {"ex01.ipynb": NOTEBOOK, "a/b.txt": b"x", "Übung.txt": b""})
    assert receipt.files == {"a/b.txt": 1, "ex01.ipynb": len(NOTEBOOK), "Übung.txt": 0}
    assert (receipt.number, receipt.received, receipt.source) == (1, 10.0, "test")
    store = Store(tmp_path / "class")
    assert store.receipts() == [receipt]
    assert store.read(receipt.hash, "ex01.ipynb", 100) == NOTEBOOK
    assert sorted(path.name for path in store.files(receipt.hash).rglob("*.*")) == [
        "b.txt",
        "ex01.ipynb",
        "Übung.txt",
    ]
    [record] = Ledger(tmp_path / "class").records("received")
    assert (record["hash"], record["student"], record["seal"]) == (receipt.hash, "ada", receipt.record)
    report = audit(tmp_path / "class")
    assert report.problems == report.notes == ()


def test_the_hash_is_of_paths_sizes_and_content_alone(tmp_path: Path) -> None:
    one = receive(tmp_path, {"a": b"1", "b": b"2"})
    folder = staged(tmp_path, {"b": b"2", "a": b"1", "empty/x": b""})
    (folder / "empty/x").unlink()
    (folder / "a").chmod(0o755)
    os.utime(folder / "a", (1, 1))
    assert Store(tmp_path / "class").receive("bob", "ex01", folder, "test", 11.0).hash == one.hash
    assert len(list((tmp_path / "class/objects").iterdir())) == 1
    others = [
        {"a": b"1", "b": b"3"},
        {"a": b"1", "c": b"2"},
        {"a": b"12", "b": b""},
        {"a": b"1"},
        {"a/b": b"12"},
    ]
    assert len({one.hash, *(receive(tmp_path, files).hash for files in others)}) == 6


def test_every_version_is_kept_and_numbered_in_the_order_of_reception(tmp_path: Path) -> None:
    first = receive(tmp_path, {"a": b"1"}, when=30.0)
    second = receive(tmp_path, {"a": b"2"}, when=20.0)
    third = receive(tmp_path, {"a": b"3"}, when=30.0)
    store = Store(tmp_path / "class")
    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    assert store.receipts("ex01", "ada") == [first, second, third]
    assert store.receipts("ex02") == store.receipts("ex01", "bob") == []
    fourth = receive(tmp_path, {"a": b"4"})
    assert store.receipts("ex01", "ada")[-1] == fourth  # also where it was read before


def test_a_class_of_an_older_version_is_read_and_goes_on(tmp_path: Path) -> None:
    """Up to 0.1 each receipt also was a file of JSON, written after its record."""
    given = [receive(tmp_path, {"a": b"1"}), receive(tmp_path, {"a": b"2"})]
    place = tmp_path / "class/receipts/ex01/ada"
    place.mkdir(parents=True)
    for one in given:
        (place / f"{one.number}.json").write_bytes(canonical(msgspec.to_builtins(one)) + b"\n")
    (place / ".lock").touch()
    (place / ".3.json.pending").write_text("{}")  # a crash before the record
    assert Store(tmp_path / "class").receipts() == given
    assert audit(tmp_path / "class").problems == ()
    assert receive(tmp_path, {"a": b"3"}).number == 3
    lines = (tmp_path / "class/ledger.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "class/ledger.jsonl").write_bytes(lines[0])
    assert "2.json: the ledger has no record of this receipt" in "\n".join(audit(tmp_path / "class").problems)


@pytest.mark.parametrize("id", ["../x", "a/b", "a*", "a+b", ".a"])
def test_no_id_leads_out_of_the_store(tmp_path: Path, id: str) -> None:
    store = Store(tmp_path / "class")
    for student, lab in ((id, "ex01"), ("ada", id)):
        with pytest.raises(UsageError):
            store.receive(student, lab, staged(tmp_path, {"a": b""}), "test", 1.0)
    assert not (tmp_path / "class").exists()


def test_only_regular_files_are_kept(tmp_path: Path) -> None:
    folder = staged(tmp_path, {"a": b"1"})
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="link"):
        Store(tmp_path / "class").receive("ada", "ex01", folder, "test", 1.0)
    (folder / "link").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(OSError, match="pipe"):
        Store(tmp_path / "class").receive("ada", "ex01", folder, "test", 1.0)
    assert list((tmp_path / "class/objects").iterdir()) == []  # nothing half-made stays


# ---- replaced after receipt ------------------------------------------------------------------


def change(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


def swap_for_link(files: Path, tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(NOTEBOOK)
    (files / "ex01.ipynb").unlink()
    (files / "ex01.ipynb").symlink_to(tmp_path / "same")


def change_with_the_manifest(files: Path, _: Path) -> None:
    """Somebody who knows how it works: file and list agree, but the name of the object cannot."""
    change(files / "ex01.ipynb", b"{}")
    found = objects.entry_of(files / "ex01.ipynb", 100)
    manifest = files.parent / "manifest.json"
    entries = json.loads(manifest.read_text())
    entries["ex01.ipynb"] = {"size": found.size, "sha256": found.sha256}
    change(manifest, json.dumps(entries, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "doing",
    [
        change_with_the_manifest,
        lambda files, _: change(files / "ex01.ipynb", b'{"cells": {}}'),  # as long as before
        lambda files, _: change(files / "ex01.ipynb", NOTEBOOK + b" "),
        lambda files, _: (files / "ex01.ipynb").unlink(),
        swap_for_link,  # even to the same content
        lambda files, _: change(
            files.parent / "manifest.json",
            (files.parent / "manifest.json").read_bytes().replace(b"13", b"14"),
        ),
        lambda files, _: (files.parent / "manifest.json").unlink(),
    ],
)
def test_what_was_replaced_after_its_receipt_is_never_used(tmp_path: Path, doing: object) -> None:
    receipt = receive(tmp_path, {"ex01.ipynb": NOTEBOOK, "b": b""})
    store = Store(tmp_path / "class")
    assert callable(doing)
    doing(tmp_path / "class/objects" / receipt.hash / "files", tmp_path)
    with pytest.raises(GradingError):
        store.files(receipt.hash)
    with pytest.raises(GradingError):
        store.read(receipt.hash, "ex01.ipynb", 1000)
    assert any("ex01 ada 1" in problem for problem in audit(tmp_path / "class").problems)


def test_a_file_added_to_an_object_is_seen(tmp_path: Path) -> None:
    receipt = receive(tmp_path, {"a": b"1"})
    store = Store(tmp_path / "class")
    (tmp_path / "class/objects" / receipt.hash / "files/numpy.py").write_bytes(b"")
    with pytest.raises(GradingError, match=r"'numpy\.py' was added"):
        store.files(receipt.hash)


def test_reading_is_bounded_and_leads_nowhere_else(tmp_path: Path) -> None:
    receipt = receive(tmp_path, {"a": b"12345"})
    store = Store(tmp_path / "class")
    assert store.read(receipt.hash, "a", 5) == b"12345"
    with pytest.raises(GradingError, match="has 5 bytes, more than 4"):
        store.read(receipt.hash, "a", 4)
    for path in ("../manifest.json", "/etc/passwd", "b", ""):
        with pytest.raises(GradingError, match="holds no"):
            store.read(receipt.hash, path, 1000)
    for name in ("", "..", "../receipts", "0" * 63, receipt.hash.upper()):
        with pytest.raises(GradingError):
            store.files(name)


# ---- crashes and races -----------------------------------------------------------------------


class Crash(BaseException):
    """What no handler catches."""


@pytest.mark.parametrize(
    ("where", "given"),
    [
        ((os, "fsync"), 0),
        ((objects, "sync_folder"), 0),
        ((Ledger, "append"), 0),
        ((storing, "receipt_of"), 1),
    ],
    ids=str,
)
def test_a_crash_at_any_step_loses_no_record_and_repeats_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[object, str], given: int
) -> None:
    """``given``: whether the version was recorded before the crash."""

    def crash(*_args: object, **_more: object) -> None:
        raise Crash

    if given:  # the only one of ada's: nothing is read before it is written
        folder = staged(tmp_path, {"a": b"1"})
    else:
        receive(tmp_path, {"a": b"0"}, student="bob")
        folder = staged(tmp_path, {"a": b"1"})
    with monkeypatch.context() as patch:
        patch.setattr(*where, crash)
        with pytest.raises(Crash):
            Store(tmp_path / "class").receive("ada", "ex01", folder, "test", 10.0)
    report = audit(tmp_path / "class")
    assert report.problems == ()
    assert [one.number for one in Store(tmp_path / "class").receipts("ex01", "ada")] == [1] * given
    # The same work collected again, and the next version.
    assert receive(tmp_path, {"a": b"1"}).number == 1 + given
    assert audit(tmp_path / "class").problems == ()


def test_receptions_from_many_processes_get_numbers_of_their_own(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hpclab.grading.submissions.store import Store\n"
        "for n in range(8): Store(Path(sys.argv[1])).receive('ada', 'ex01', Path(sys.argv[2]), 'test', float(n))\n"
    )
    folders = [
        staged(tmp_path, {"a": b"same"}),
        staged(tmp_path, {"a": b"same"}),
        staged(tmp_path, {"a": b"2"}),
    ]
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "class"), str(folder)])
        for folder in folders
    ]
    assert [one.wait(timeout=120) for one in running] == [0, 0, 0]
    assert [one.number for one in Store(tmp_path / "class").receipts()] == list(range(1, 25))
    report = audit(tmp_path / "class")
    assert report.problems == report.notes == ()


# ---- audit -----------------------------------------------------------------------------------


def test_audit_names_a_receipt_without_a_record(tmp_path: Path) -> None:
    place = tmp_path / "class/receipts/ex01/ada"
    for number in (1, 2):
        receipt = receive(tmp_path, {"a": b"%d" % number})
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_text(f"Receipt {number}\n\nrecord    {receipt.record}\n")
    assert audit(tmp_path / "class").problems == ()
    (place / "3.txt").write_text(f"Receipt 3\n\nrecord    {'0' * 64}\n")
    assert "3.txt: the ledger has no record of this receipt" in "\n".join(audit(tmp_path / "class").problems)
    (place / "3.txt").unlink()
    ledger = tmp_path / "class/ledger.jsonl"
    ledger.write_bytes(
        ledger.read_bytes().splitlines(keepends=True)[0]
    )  # cut at its end, and seen by the texts
    assert "2.txt: the ledger has no record of this receipt" in "\n".join(audit(tmp_path / "class").problems)


def test_a_record_that_is_no_receipt_is_named(tmp_path: Path) -> None:
    fields = {"lab": "ex01", "student": "ada", "number": "one", "hash": "x", "received": 1.0, "source": "t"}
    Ledger(tmp_path / "class").append("received", **fields)
    assert "a receipt is broken" in "\n".join(audit(tmp_path / "class").problems)
    with pytest.raises(GradingError, match="a receipt is broken"):
        Store(tmp_path / "class").receipts()


def graded(
    folder: Path, receipt: Receipt, *, result: str = "batches/ex01/1/results/ada.json", **more: object
) -> None:
    path = folder / "batches/ex01/1/results/ada.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{}")
    fields: dict[str, object] = {
        **{"lab": receipt.lab, "student": receipt.student, "number": receipt.number, "hash": receipt.hash},
        **{"uuid": "u", "lab_digest": "d", "grader": "g", "image": "", "seed": 1},
        **{"verdict": "PASS", "earned": 1.0, "points": 1.0, "result": result},
        "result_hash": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",  # of {}
    }
    Ledger(folder).append("graded", **{**fields, **more})


def test_results_and_records_are_compared_both_ways(tmp_path: Path) -> None:
    receipt = receive(tmp_path, {"a": b"1"})
    folder = tmp_path / "class"
    graded(folder, receipt)
    assert audit(folder).problems == ()
    (folder / "batches/ex01/1/results/bob.json").write_text("{}")
    [problem] = audit(folder).problems
    assert "bob.json: the ledger has no record of this result" in problem
    (folder / "batches/ex01/1/results/bob.json").write_text('{"task": {"uuid": "u-2"}}')
    Ledger(folder).append("queued", lab="ex01", student="bob", number=1, uuid="u-2")
    found = audit(folder)  # of a failure of the grader's own, or of marks that nobody accepted
    assert found.problems == ()
    assert any("bob.json: no mark was taken from it" in note for note in found.notes)
    (folder / "batches/ex01/1/results/bob.json").unlink()
    (folder / "batches/ex01/1/results/ada.json").write_text("{ }")
    [problem] = audit(folder).problems
    assert "ada.json is not what was recorded" in problem
    (folder / "batches/ex01/1/results/ada.json").unlink()
    [problem] = audit(folder).problems
    assert "No such file" in problem


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"hash": "0" * 64}, "no such submission"),
        ({"number": 7}, "no such submission"),
        ({"result": "../../etc/passwd"}, "outside the class"),
        ({"result": "/etc/passwd"}, "outside the class"),
    ],
)
def test_a_mark_must_belong_to_something_received(tmp_path: Path, more: dict[str, object], says: str) -> None:
    receipt = receive(tmp_path, {"a": b"1"})
    graded(tmp_path / "class", receipt, **more)  # type: ignore[arg-type]
    assert says in "\n".join(audit(tmp_path / "class").problems)


def test_a_head_written_down_shows_a_ledger_cut_at_its_end(tmp_path: Path) -> None:
    receipt = receive(tmp_path, {"a": b"1"})
    folder = tmp_path / "class"
    Ledger(folder).append("override", lab="ex01", student="ada", by="me", reason="kind")
    head = audit(folder).head
    assert audit(folder, head=head).problems == ()
    assert audit(folder, head=receipt.record).problems == ()
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "ledger.jsonl").write_bytes(lines[0])
    assert audit(folder).problems == ()
    assert "no record has the seal" in audit(folder, head=head).problems[0]
