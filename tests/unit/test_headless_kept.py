"""Runs that are kept: the last good one is never lost, and it is known when it is out of date."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from hpclab import headless
from hpclab.headless import artifacts, kept, runs_table, stamps

GOOD = headless.RunResult(
    lab="01-x/ex01",
    job="12",
    state="COMPLETED",
    complete=True,
    marks=[headless.CellMark("one", 2, 2)],
    stamp={"notebook": "a", "site": "b"},
)
BAD = msgspec.structs.replace(GOOD, marks=[headless.CellMark("one", 2, 0, "CheckFailed: no")])
NOW = {"notebook": "a", "site": "b"}


def run(result: headless.RunResult, text: str = "{}", files: bytes = b"") -> headless.FinishedRun:
    return headless.FinishedRun(result, text, "log\n", files)


def tar(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_failed_run_lies_beside_the_good_one_and_goes_with_the_next(tmp_path: Path) -> None:
    headless.keep(run(GOOD, "good", tar(kept="1")), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in tree(tmp_path)}
    assert sorted(before) == ["artifacts/kept", "executed.ipynb", "notebook.log", "result.json"]
    headless.keep(run(BAD, "bad", tar(other="2")), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    added = sorted(set(tree(tmp_path)) - set(before))
    assert added == ["failed-artifacts/other", "failed.ipynb", "failed.json", "failed.log"]
    headless.keep(run(GOOD, "better"), tmp_path)
    assert tree(tmp_path) == ["executed.ipynb", "notebook.log", "result.json"]
    assert (tmp_path / "executed.ipynb").read_text() == "better"


def test_a_second_failure_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    headless.keep(run(BAD, "bad", tar(other="2")), tmp_path)
    headless.keep(headless.FinishedRun(headless.RunResult(problem="the cluster is down")), tmp_path)
    assert tree(tmp_path) == ["failed.json", "failed.log"]


def test_an_interruption_between_two_files_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headless.keep(run(GOOD, "good"), tmp_path)
    whole = kept.write_whole

    def interrupted(path: Path, data: bytes) -> None:
        if path.name == "result.json":
            raise KeyboardInterrupt
        whole(path, data)

    monkeypatch.setattr(kept, "write_whole", interrupted)
    with pytest.raises(KeyboardInterrupt):
        headless.keep(run(GOOD, "better"), tmp_path)
    assert (tmp_path / "executed.ipynb").read_text() == "better"
    assert headless.reasons_to_run(tmp_path, NOW) == ["its executed notebook is not the one that was kept"]


def test_a_lab_is_due_when_it_is_missing_changed_failed_or_broken(tmp_path: Path) -> None:
    assert headless.reasons_to_run(tmp_path, NOW) == ["it has not run yet"]
    headless.keep(run(GOOD), tmp_path)
    assert headless.reasons_to_run(tmp_path, NOW) == []
    assert headless.reasons_to_run(tmp_path, NOW | {"site": "c", "new": "d"}) == ["changed since: new, site"]
    headless.keep(run(BAD), tmp_path)
    assert headless.reasons_to_run(tmp_path, NOW) == ["the last run failed"]
    headless.keep(run(GOOD), tmp_path)
    (tmp_path / "executed.ipynb").unlink()
    assert headless.reasons_to_run(tmp_path, NOW) == ["its executed notebook is not the one that was kept"]
    (tmp_path / "result.json").write_text("{")
    assert headless.reasons_to_run(tmp_path, NOW) == ["it has not run yet"]


def test_a_stamp_tells_files_values_and_names_apart(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "a").write_text("1")
    one = headless.stamp(notebook=b"x", templates=[folder], parameters={"n": 3})
    assert one == headless.stamp(notebook=b"x", templates=[folder], parameters={"n": 3})
    (folder / "a").rename(folder / "b")
    two = headless.stamp(notebook=b"x", templates=[folder], parameters={"n": "3"})
    assert stamps.changed_parts(one, two) == ["parameters", "templates"]
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/b.pyc").write_text("litter")
    assert two == headless.stamp(notebook=b"x", templates=[folder], parameters={"n": "3"})


def test_files_are_chosen_from_the_top_and_what_is_over_is_named() -> None:
    found = [("z/deep", 1), ("b", 4), ("a", 4), ("large", 9), ("__pycache__/x", 1), ("c", 4)]
    chosen, skipped = artifacts.select_files(
        found, headless.ArtifactLimits(file_bytes=8, total_bytes=9, count=3)
    )
    assert chosen == ["a", "b", "z/deep"]
    assert [(file.path, file.why) for file in skipped] == [
        ("c", "more than 9 bytes in all"),
        ("large", "larger than 8 bytes"),
    ]
    chosen, skipped = artifacts.select_files(
        [(f"{n:03}", 1) for n in range(300)], headless.ArtifactLimits(count=10)
    )
    assert len(chosen) == 10
    assert (len(skipped), skipped[-1].path, skipped[-1].size) == (51, "and 240 more", 240)


def test_files_come_over_as_they_are(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    (work / "sub/a b\nc").write_bytes(bytes(range(256)))
    (work / "-dash").write_text("x")
    (work / "link").symlink_to("/etc/passwd")
    os.mkfifo(work / "pipe")

    def launch(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(list(argv), capture_output=True, text=True, errors="replace", check=False)

    found = artifacts.list_files(str(work), launch)
    assert sorted(found) == [("-dash", 1), ("sub/a b\nc", 256)]
    archive = artifacts.fetch(str(work), [path for path, _ in found] + ["vanished"], launch)
    into = tmp_path / "into"
    assert sorted(artifacts.unpack(archive, into, headless.ArtifactLimits())) == ["-dash", "sub/a b\nc"]
    assert (into / "sub/a b\nc").read_bytes() == bytes(range(256))


def test_an_archive_cannot_write_elsewhere_nor_without_end(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("../up", "/tmp/absolute", "good", "a/../../up"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
        large = tarfile.TarInfo("large")
        large.size = 1000
        archive.addfile(large, io.BytesIO(bytes(1000)))
    into = tmp_path / "deep/into"
    assert artifacts.unpack(out.getvalue(), into, headless.ArtifactLimits(total_bytes=100)) == ["good"]
    assert tree(tmp_path) == ["deep/into/good"]


def test_the_summary_shows_the_newest_attempt_at_each_lab(tmp_path: Path) -> None:
    headless.keep(
        run(msgspec.structs.replace(GOOD, jobs=["3", "4", "5_1", "5_2", "9"])), tmp_path / "01-x/ex01"
    )
    headless.keep(run(GOOD), tmp_path / "01-x/ex02")
    headless.keep(run(BAD), tmp_path / "01-x/ex02")
    found = headless.write_summary(tmp_path)
    assert [(result.lab, result.ok) for result in found] == [("01-x/ex01", True), ("01-x/ex02", False)]
    assert len(json.loads((tmp_path / "summary.json").read_text())) == 2
    text = (tmp_path / "summary.md").read_text()
    assert "| 01-x/ex01 | COMPLETED |  | 2/2 | 12 | 3-5, 9 |" in text
    assert "| 01-x/ex02 | COMPLETED, not passed |  | 0/2 | 12 |" in text
    assert "- one: 0 of 2, CheckFailed: no" in text
    assert runs_table.format_ids([]) == ""


def test_an_archive_that_is_none_or_broken_off_gives_what_there_was(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("first", "second"):
            member = tarfile.TarInfo(name)
            member.size = 5000
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    assert artifacts.unpack(b"no archive at all", tmp_path, headless.ArtifactLimits()) == []
    assert artifacts.unpack(out.getvalue()[:7000], tmp_path, headless.ArtifactLimits()) == ["first"]


def test_a_file_and_a_folder_of_one_name(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("a", "a/b", "c"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert artifacts.unpack(out.getvalue(), tmp_path, headless.ArtifactLimits()) == ["a", "c"]


def test_a_run_without_a_notebook_leaves_no_older_one_beside_it(tmp_path: Path) -> None:
    kept.write(headless.FinishedRun(GOOD, executed="{}"), tmp_path)
    assert (tmp_path / kept.EXECUTED).read_text() == "{}"
    kept.write(headless.FinishedRun(BAD), tmp_path)
    assert not (tmp_path / kept.EXECUTED).exists()
