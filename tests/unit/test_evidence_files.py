"""Files of the learner's program: any invalid content raises CheckFailed with a message."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpclab import evidence
from hpclab.evidence import CheckFailed, files


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_missing_file_is_a_failed_check() -> None:
    for ask in (evidence.text, evidence.modified, evidence.json_of, evidence.table, evidence.job_id):
        with pytest.raises(CheckFailed, match=r"Found: no file result\.txt"):
            ask("result.txt")
        with pytest.raises(CheckFailed, match=r"Found: no file result\.txt"):
            ask(Path("result.txt"))


def test_only_regular_files_are_opened(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "dir").mkdir()
    (folder / "link").symlink_to("fifo")
    (folder / "loop").symlink_to("loop")
    for path in ("fifo", "dir", "link", "/dev/zero"):
        with pytest.raises(CheckFailed, match="is not a regular file"):
            evidence.text(path)
    for path in ("loop", "a\0b", "x" * 5000):
        with pytest.raises(CheckFailed, match=r"cannot be read|no file"):
            evidence.text(path)
    with pytest.raises(CheckFailed, match="no file dir/x/y"):
        evidence.text("dir/x/y")


def test_unreadable_file_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").write_text("x")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CheckFailed, match=r"cannot be read \(Permission denied\)"):
        evidence.text("closed")


def test_a_huge_file_is_not_read(folder: Path) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(1 << 40)
    for ask in (evidence.text, evidence.json_of, evidence.table, evidence.job_id):
        with pytest.raises(CheckFailed, match="larger than"):
            ask("big")


def test_grader_does_not_follow_links_out_of_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "secret").write_text("42")
    (folder / "out").symlink_to(other / "secret")
    (folder / "data").symlink_to(other)
    (folder / "near").write_text("1")
    (folder / "inside").symlink_to("near")
    assert evidence.text("out") == evidence.text("data/secret") == "42"
    monkeypatch.setenv("HPCLAB_LEARNER", "mira")
    for path in ("out", "data/secret", folder / "out"):
        with pytest.raises(CheckFailed, match="is a link to another folder"):
            evidence.text(path)
    assert evidence.text("inside") == "1"


def test_grader_reads_only_the_learners_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A job's --output may name any path, and a path may turn round at a link."""
    home, scratch, other = (tmp_path_factory.mktemp(name) for name in ("home", "scratch", "other"))
    for place in (home, scratch, other, folder):
        (place / "out").write_text(place.name)
    (other / "deep").mkdir()
    (folder / "data").symlink_to(other / "deep")
    (home / "link").symlink_to(other / "out")
    monkeypatch.setenv("HPCLAB_LEARNER", "mira")
    monkeypatch.setattr(files, "SCRATCH", scratch)
    monkeypatch.setattr(files.pwd, "getpwnam", lambda name: SimpleNamespace(pw_dir=str(home)))
    for place in (home, scratch, folder):
        assert evidence.text(place / "out") == place.name
    for path in (other / "out", "/proc/self/environ", "/dev/null", "../other0/out", f"{home}/../out"):
        with pytest.raises(CheckFailed, match="outside the folders"):
            evidence.text(path)
    for path in ("data/../out", home / "link"):
        with pytest.raises(CheckFailed, match="is a link to another folder"):
            evidence.text(path)
    monkeypatch.setattr(files.pwd, "getpwnam", lambda name: SimpleNamespace(pw_dir="/"))
    with pytest.raises(CheckFailed, match="outside the folders"):
        evidence.text(other / "out")


def test_json_of_any_value(folder: Path) -> None:
    (folder / "a.json").write_text('{"loss": 0.5, "epochs": 3, "tags": []}')
    assert evidence.json_of("a.json") == {"loss": 0.5, "epochs": 3, "tags": []}
    assert evidence.json_of("a.json", loss=float, epochs=int, tags=list)["loss"] == 0.5
    assert evidence.json_of("a.json", epochs=float)["epochs"] == 3
    (folder / "b.json").write_text("\ufeff[1]\n")
    assert evidence.json_of("b.json") == [1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not valid JSON"),
        (b"{'loss': 1}", r"is not valid JSON \(line 1: "),
        (b'{"loss": 1', "is not valid JSON"),
        (b"\xff\xfe\x00", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"9" * 10_000, "is not valid JSON"),
        (b'{"loss": NaN}', "is not valid JSON"),
        (b'{"loss": -Infinity}', "is not valid JSON"),
        (b'{"loss": 1e999}', "'loss' in .* is inf"),
        (b"[1]", "holds a list\\.\nExpected: an object"),
        (b"null", "holds null\\."),
        (b'{"los": 1}', "has no value named 'loss'"),
        (b'{"loss": "0.5"}', "'loss' in r.json is '0.5'\\.\nExpected: a number"),
        (b'{"loss": true}', "'loss' in r.json is true\\."),
        (b'{"loss": [1]}', "'loss' in r.json is a list"),
        (b'{"loss": null}', "'loss' in r.json is null"),
    ],
)
def test_invalid_json_fails(folder: Path, content: bytes, says: str) -> None:
    (folder / "r.json").write_bytes(content)
    with pytest.raises(CheckFailed, match=says):
        evidence.json_of("r.json", loss=float)


def test_a_table(folder: Path) -> None:
    (folder / "t.csv").write_text('\ufefflr, loss ,note\r\n0.1,  0.5 ,"a, b"\r\n\r\n0.2,nan,\r\n', newline="")
    rows = evidence.table("t.csv", "lr", "loss")
    assert rows == [{"lr": "0.1", "loss": "0.5", "note": "a, b"}, {"lr": "0.2", "loss": "nan", "note": ""}]
    (folder / "empty.csv").write_text("lr,loss\n")
    assert evidence.table("empty.csv", "lr") == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"lr,loss\n1,\0\n", "is not a text file"),
        (b"lr;loss\n1;2\n", "has the columns lr;loss"),
        (b"lr,acc\n1,2\n", "also loss"),
        (b"lr,loss\n1\n", "row 1 of t.csv has 1 values"),
        (b"lr,loss\n1,2\n1,2,3\n", "row 2 of t.csv has 3 values"),
        (b"lr,loss,lr\n1,2,3\n", "two columns with the same name"),
        (b'lr,loss\n"1,2\n', "is not valid CSV"),
        (b"lr,loss\n" + b"1" * 200_000 + b",2\n", "is not valid CSV"),
        (b"\x89PNG\r\n\x1a\n\xff\xff", "has the columns"),
    ],
)
def test_invalid_table_fails(folder: Path, content: bytes, says: str) -> None:
    (folder / "t.csv").write_bytes(content)
    with pytest.raises(CheckFailed, match=says):
        evidence.table("t.csv", "lr", "loss")


@pytest.mark.parametrize("value", ["0.5", " 1e-3", 2, 0.1, "-7"])
def test_numbers(value: object) -> None:
    assert evidence.number(value, "lr") == float(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "nan", "inf", "1,5", None, True, [1], "9" * 400, 10**400])
def test_values_that_are_no_numbers_fail(value: object) -> None:
    with pytest.raises(CheckFailed, match=r"Found: lr in t\.csv is "):
        evidence.number(value, "lr in t.csv")


@pytest.mark.parametrize("content", ["Submitted batch job 12", "", "12 13"])
def test_file_without_a_job_id_fails(folder: Path, content: str) -> None:
    (folder / "id").write_text(content)
    with pytest.raises(CheckFailed, match="a job ID and nothing else"):
        evidence.job_id("id")


def test_a_job_id_with_its_cluster(folder: Path) -> None:
    (folder / "id").write_text("12;perlmutter\n")
    assert evidence.job_id("id") == "12"


def test_when_a_file_was_written(folder: Path) -> None:
    before = time.time() - 1
    (folder / "x").write_text("")
    written = evidence.modified("x")
    assert before <= written <= time.time()
    os.utime(folder / "x", (5, 7))
    assert evidence.modified("x") >= written  # touch(1) makes nothing older
    os.utime(folder / "x", (5, 4e9))
    assert evidence.modified("x") == 4e9
