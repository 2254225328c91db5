"""The store: content by its hash, receipts that are never written over, and crashes between the steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab.errors import GradingError, UsageError
from hpclab.grading.records.audit import audit
from hpclab.grading.records.ledger import Ledger
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
    assert store.latest("ex01") == {"ada": receipt}
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


def test_every_version_is_kept_and_the_one_received_last_counts(tmp_path: Path) -> None:
    first = receive(tmp_path, {"a": b"1"}, when=30.0)
    second = receive(tmp_path, {"a": b"2"}, when=20.0)
    third = receive(tmp_path, {"a": b"3"}, when=30.0)
    store = Store(tmp_path / "class")
    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    assert store.receipts("ex01", "ada") == [first, second, third]
    assert store.latest("ex01")["ada"] == third  # at the same moment the later number
    assert store.receipts("ex02") == store.receipts("ex01", "bob") == []


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
    found = objects.digest(files / "ex01.ipynb", 100)
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
        ((storing, "write_whole"), 0),
        ((Ledger, "append"), 0),
        ((Store, "_give"), 1),
        ((os, "link"), 1),
        ((storing, "read_receipt"), 1),
    ],
    ids=str,
)
def test_a_crash_at_any_step_loses_no_record_and_repeats_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[object, str], given: int
) -> None:
    """``given``: whether the version was recorded before the crash, so that its receipt must come."""
    receive(tmp_path, {"a": b"0"})

    def crash(*_args: object, **_more: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(*where, crash)
        with pytest.raises(Crash):
            receive(tmp_path, {"a": b"1"})
    store = Store(tmp_path / "class")
    store.settle()
    report = audit(tmp_path / "class")
    assert report.problems == ()
    assert [one.number for one in store.receipts()] == [1, *([2] if given else [])]
    # The same work collected again, and the next version.
    assert receive(tmp_path, {"a": b"1"}).number == 2 + given
    assert audit(tmp_path / "class").problems == ()


def test_the_next_reception_settles_a_crash_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_args: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", crash)
        with pytest.raises(Crash):
            receive(tmp_path, {"a": b"1"}, when=5.0)
    assert receive(tmp_path, {"a": b"2"}, when=6.0).number == 2
    assert [(one.number, one.received) for one in Store(tmp_path / "class").receipts()] == [
        (1, 5.0),
        (2, 6.0),
    ]
    report = audit(tmp_path / "class")
    assert report.problems == report.notes == ()


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


def edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("doing", "says"),
    [
        (
            lambda top: edit(top / "receipts/ex01/ada/1.json", received=1.0),
            "not what the ledger says: received",
        ),
        (lambda top: edit(top / "receipts/ex01/ada/1.json", number=2), "the receipt of another submission"),
        (
            lambda top: edit(top / "receipts/ex01/ada/1.json", student="bob"),
            "the receipt of another submission",
        ),
        (lambda top: (top / "receipts/ex01/ada/1.json").write_text("{"), "1.json: "),
        (
            lambda top: (top / "receipts/ex01/ada/1.json").unlink(),
            "1.json is missing; the ledger has its record",
        ),
        (
            lambda top: (top / "receipts/ex01/ada/3.json").write_text(
                (top / "receipts/ex01/ada/1.json").read_text().replace('"number":1', '"number":3')
            ),
            "3.json: the ledger has no record of this receipt",
        ),
        (
            lambda top: (top / "ledger.jsonl").write_bytes(
                (top / "ledger.jsonl").read_bytes().splitlines(keepends=True)[0]
            ),
            "2.json: the ledger has no record of this receipt",  # cut at its end, and seen by the receipts
        ),
    ],
)
def test_audit_names_what_is_wrong(tmp_path: Path, doing: object, says: str) -> None:
    receive(tmp_path, {"a": b"1"})
    receive(tmp_path, {"a": b"2"})
    assert callable(doing)
    doing(tmp_path / "class")
    assert says in "\n".join(audit(tmp_path / "class").problems)


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
