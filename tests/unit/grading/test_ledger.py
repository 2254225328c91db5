"""The ledger: many writers, crashes in the middle of a line, and every way to change it afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpclab.errors import GradingError
from hpclab.grading.records.ledger import FIRST, Ledger, canonical


def some(folder: Path, count: int = 5) -> Ledger:
    ledger = Ledger(folder)
    for number in range(count):
        ledger.append("published", lab="ex01", student=f"s{number}")
    return ledger


def test_records_come_back_in_order_chained_and_matched(tmp_path: Path) -> None:
    ledger = some(tmp_path)
    seal = ledger.append("exported", file="marks.csv", text="Zoë\n\u2028")
    records = list(ledger.records())
    assert [one.get("student") for one in records] == ["s0", "s1", "s2", "s3", "s4", None]
    assert [one["previous"] for one in records] == [FIRST, *(one["seal"] for one in records[:-1])]
    assert [one["student"] for one in ledger.records("published", student="s3")] == ["s3"]
    assert ledger.head() == (6, seal)
    assert ledger.verify() == []
    # Anybody can check a line with a program of their own: SHA-256 of it without its seal.
    line = ledger.path.read_bytes().splitlines()[-1]
    record = json.loads(line)
    assert line.isascii() and record.pop("seal") == seal
    assert (
        hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest() == seal
    )


def test_what_cannot_be_recorded_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    ledger = some(tmp_path, 1)
    for kind, fields in [
        ("published", {"lab": "x"}),
        ("published", {"lab": "x", "student": "s", "seal": "0"}),
        ("exported", {"file": float("nan")}),
        ("exported", {"file": "x" * (2 << 20)}),
    ]:
        with pytest.raises(ValueError, match=r"needs|JSON|bytes"):
            ledger.append(kind, **fields)
    with pytest.raises(KeyError):
        ledger.append("invented", lab="x")
    assert ledger.head()[0] == 1
    assert ledger.verify() == []


def change(line: int, old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def doing(lines: list[bytes]) -> list[bytes]:
        assert old in lines[line]
        return [*lines[:line], lines[line].replace(old, new), *lines[line + 1 :]]

    return doing


def resealed(lines: list[bytes]) -> list[bytes]:
    """Somebody who knows how it works: the changed line has a right seal again."""
    record = json.loads(lines[2])
    record["student"] = "s9"
    del record["seal"]
    record["seal"] = hashlib.sha256(canonical(record)).hexdigest()
    return [*lines[:2], canonical(record), *lines[3:]]


@pytest.mark.parametrize(
    ("doing", "line", "says"),
    [
        (change(2, b"s2", b"s9"), 3, "it was changed"),
        (change(2, b'","', b'", "'), 3, "it was changed"),  # blanks alone
        (
            change(2, b'{"at"', b'{"at":1,"at"'),
            3,
            "it was changed",
        ),  # a key twice: readers differ on which counts
        (change(2, b"published", b"publisched"), 3, "it was changed"),
        (resealed, 4, "the line before it is not the one"),
        (lambda lines: lines[:2] + lines[3:], 3, "the line before it is not the one"),
        (lambda lines: lines[1:], 1, "the line before it is not the one"),
        (lambda lines: [*lines[:2], lines[3], lines[2], lines[4]], 3, "the line before it is not the one"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4, "the line before it is not the one"),
        (lambda lines: [*lines[:2], b"", *lines[2:]], 3, "it is not a record"),
        (lambda lines: [*lines[:2], b"[" * 100_000, *lines[2:]], 3, "it is not a record"),
        (lambda lines: [*lines[:2], b"\xff\0", *lines[2:]], 3, "it is not a record"),
        (lambda lines: [*lines[:2], b"7", *lines[2:]], 3, "it is not a record"),
    ],
)
def test_the_first_broken_line_is_named(
    tmp_path: Path, doing: Callable[[list[bytes]], list[bytes]], line: int, says: str
) -> None:
    ledger = some(tmp_path)
    ledger.path.write_bytes(b"\n".join(doing(ledger.path.read_bytes().splitlines())) + b"\n")
    first = ledger.verify()[0]
    assert f"line {line}: " in first
    assert says in first


def test_a_ledger_cut_at_its_end_looks_whole_and_only_a_head_written_down_tells(tmp_path: Path) -> None:
    ledger = some(tmp_path)
    head = ledger.head()
    ledger.path.write_bytes(b"".join(ledger.path.read_bytes().splitlines(keepends=True)[:-1]))
    assert ledger.verify() == []
    assert head[1] not in {one["seal"] for one in ledger.records()}


@pytest.mark.parametrize("torn", [b"{", b'{"at":1,"kind":"publi', b"\0" * 4096, b'{"at":1}'])
def test_what_a_crash_left_is_put_aside_with_a_word(tmp_path: Path, torn: bytes) -> None:
    ledger = some(tmp_path, 2)
    with ledger.path.open("ab") as file:
        file.write(torn)
    assert "unfinished" in ledger.verify()[-1]
    assert len(list(ledger.records())) == 2
    ledger.append("published", lab="ex01", student="s9")
    assert ledger.verify() == []
    kinds = [one["kind"] for one in ledger.records()]
    assert kinds == ["published", "published", "mended", "published"]
    [told] = ledger.records("mended")
    assert (tmp_path / told["aside"]).read_bytes() == torn
    assert told["sha256"] == hashlib.sha256(torn).hexdigest()


def test_a_crash_while_mending_loses_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = some(tmp_path, 1)
    with ledger.path.open("ab") as file:
        file.write(b"torn")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", crash)
        with pytest.raises(KeyboardInterrupt):
            ledger.append("published", lab="ex01", student="s9")
    ledger.append("published", lab="ex01", student="s9")
    assert [path.name for path in tmp_path.glob("ledger.torn-*")] == ["ledger.torn-1"]
    assert ledger.verify() == []


def test_a_broken_end_is_not_written_behind(tmp_path: Path) -> None:
    ledger = some(tmp_path)
    before = ledger.path.read_bytes().replace(b"s4", b"s9")
    ledger.path.write_bytes(before)
    with pytest.raises(GradingError, match=r"its last record is broken.*\n.*audit"):
        ledger.append("published", lab="ex01", student="s5")
    assert ledger.path.read_bytes() == before


def test_many_processes_append_one_chain(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hpclab.grading.records.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "for n in range(40): ledger.append('published', lab='ex01', student=sys.argv[2], n=n)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), f"s{number}"]) for number in range(6)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 6
    ledger = Ledger(tmp_path)
    assert ledger.verify() == []
    for number in range(6):
        assert [one["n"] for one in ledger.records(student=f"s{number}")] == list(range(40))


def test_a_writer_that_is_killed_leaves_a_chain_that_goes_on(tmp_path: Path) -> None:
    """Killed at any moment, also with half a line on the disk: what was told to be written is there."""
    code = (
        "import sys; from pathlib import Path; from hpclab.grading.records.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "while True: print(ledger.append('published', lab='ex01', student='s', pad='x' * 50_000), flush=True)\n"
    )
    ledger = Ledger(tmp_path)
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(5)]
        writer.kill()
        told += [line.strip() for line in writer.stdout.read().splitlines() if len(line) == 64]
        writer.wait(timeout=30)
        writer.stdout.close()
        ledger.append("published", lab="ex01", student="after")
        assert ledger.verify() == []
        assert set(told) <= {one["seal"] for one in ledger.records()}


def test_a_lock_that_is_held_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpclab import locks
    from hpclab.errors import DeadlineExceeded

    ledger = some(tmp_path, 1)
    with (
        locks.held(ledger.path, "x", seconds=1),
        pytest.raises(DeadlineExceeded, match=r"ledger\.jsonl"),
        locks.held(ledger.path, "ledger.jsonl", seconds=0),
    ):
        pass
