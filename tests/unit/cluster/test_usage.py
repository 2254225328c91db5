"""What a learner uses, counted on a made-up /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpclab.cluster import usage

OURS = (0, 960, 990)


def process(
    proc: Path, pid: int, uid: int, *, anonymous: int = 0, share: int = 0, threads: int = 1, state: str = "S"
) -> Path:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "status").write_text(
        f"Name:\tx\nState:\t{state} (x)\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nThreads:\t{threads}\n"
        f"RssAnon:\t{anonymous} kB\nVmSwap:\t2 kB\n"
    )
    (folder / "smaps_rollup").write_text(f"0-1 ---p [rollup]\nPss_Anon:   {share} kB\nSwapPss: 1 kB\n")
    return folder


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "self").mkdir()
    process(tmp_path, 1, 0, anonymous=10_000)
    process(tmp_path, 2, 960, anonymous=10_000)
    process(tmp_path, 3, 1000, anonymous=100, share=60, threads=3)
    process(tmp_path, 4, 11_000, anonymous=100, share=60)  # one of the learner's own namespace
    process(tmp_path, 5, 1000, anonymous=999, state="Z")
    (tmp_path / "6").mkdir()  # it has ended meanwhile
    return tmp_path


def test_the_learners_processes_count_and_no_others(proc: Path) -> None:
    found = usage.use(OURS, (), most_kb=1000, proc=proc)
    assert (found.processes, found.memory_kb) == (4, 204)


def test_shared_pages_count_once_where_it_matters(proc: Path) -> None:
    assert usage.use(OURS, (), most_kb=200, proc=proc).memory_kb == 122


def test_a_process_that_is_partly_ours_is_the_learners() -> None:
    assert not usage.ours_alone("0 0 1000 0", OURS)
    assert usage.ours_alone("0 0 990 0", OURS)


def test_files_that_are_only_open_count() -> None:
    handle = os.memfd_create("much")
    try:
        os.write(handle, bytes(1 << 20))
        mine = [Path("/proc/self"), Path("/proc/self")]  # two that share a file
        assert 1024 <= usage._open_files(mine) < 2048
    finally:
        os.close(handle)
