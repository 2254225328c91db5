"""What the processes of a sandbox use, counted on a made-up /proc."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from hpclab.sandbox import usage

TRUSTED = (0, 960, 990)
KIB, MIB = 1 << 10, 1 << 20


def process(
    proc: Path,
    pid: int,
    uid: int = 1000,
    *,
    anonymous: int = 0,
    shared: int = 0,
    exact: int = 0,
    threads: int = 1,
    state: str = "S",
) -> Path:
    """A process as /proc shows it; sizes in KiB."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "status").write_text(
        f"Name:\tRssAnon: 0 Threads: 0\nState:\t{state} (x)\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
        f"RssAnon:\t{anonymous} kB\nRssFile:\t9000000 kB\nRssShmem:\t{shared} kB\nVmSwap:\t2 kB\n"
        f"Threads:\t{threads}\n"
    )
    (folder / "smaps_rollup").write_text(
        f"0-1 ---p [rollup]\nPss_Anon: {exact} kB\nPss_Shmem: 3 kB\nSwapPss: 1 kB\n"
    )
    (folder / "smaps").write_text("")
    return folder


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "self").mkdir()
    process(tmp_path, 1, 0, anonymous=10_000)
    process(tmp_path, 2, 960, anonymous=10_000)
    process(tmp_path, 3, anonymous=90, shared=10, exact=60, threads=3)
    process(tmp_path, 4, 11_000, anonymous=100, exact=60)  # an id of the learner's own namespace
    process(tmp_path, 5, anonymous=999, state="Z")
    (tmp_path / "6").mkdir()  # it has ended meanwhile
    return tmp_path


def test_the_learners_processes_count_and_no_others(proc: Path) -> None:
    used = usage.measure(enough_bytes=MIB, trusted=TRUSTED, proc=proc)
    assert (used.tasks, used.zombies, used.memory_bytes) == (4, 1, 204 * KIB)
    without = usage.measure(enough_bytes=100 * MIB, without=1, proc=proc)
    assert (without.tasks, without.memory_bytes) == (5, (204 + 10_002) * KIB)


def test_shared_pages_count_once_where_it_matters(proc: Path) -> None:
    assert usage.measure(enough_bytes=200 * KIB, trusted=TRUSTED, proc=proc).memory_bytes == 128 * KIB


def test_mapped_files_of_counted_folders_count_once_where_it_matters(
    proc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path.stat().st_dev
    for pid in (3, 4):
        (proc / str(pid) / "smaps").write_text(
            f"7f00-7f01 rw-s 00000000 {os.major(device):x}:{os.minor(device):x} 9 /dev/shm/x\nPss: 20 kB\n"
            "7f02-7f03 rw-p 00000000 00:00 0\nPss: 40 kB\n"
        )
    monkeypatch.setattr(usage, "folder_bytes", lambda _: 7 * KIB)
    used = usage.measure(enough_bytes=1, trusted=TRUSTED, folders=[tmp_path], proc=proc)
    assert used.memory_bytes == (128 - 40 + 7) * KIB


def test_a_process_whose_pages_cannot_be_read_counts_in_full(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.read_text

    def read_text(path: Path) -> str:
        if path.name == "smaps_rollup":
            raise PermissionError
        return real(path)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert usage.measure(enough_bytes=1, trusted=TRUSTED, proc=proc).memory_bytes == 204 * KIB


def test_a_process_that_is_partly_trusted_counts() -> None:
    assert not usage.are_trusted("0 0 1000 0", TRUSTED)
    assert usage.are_trusted("0 0 990 0", TRUSTED)


def mine() -> Path:
    return Path("/proc", str(os.getpid()))


def test_files_without_a_name_are_memory() -> None:
    def size(number: int) -> int:
        status = os.fstat(number)
        return usage.unnamed_files([mine(), mine()])[status.st_dev, status.st_ino]

    made = os.memfd_create("hoard")
    os.write(made, bytes(3 * MIB))
    copy = os.dup(made)
    assert size(made) == 3 * MIB
    os.close(made)
    assert size(copy) == 3 * MIB
    os.close(copy)


def test_a_mapped_file_that_counts_anyway_is_not_counted_twice() -> None:
    made = os.memfd_create("mapped")
    try:
        os.ftruncate(made, 3 * MIB)
        with mmap.mmap(made, 3 * MIB) as mapped:
            mapped.write(bytes(3 * MIB))
            smaps = (mine() / "smaps").read_text()
            status = os.fstat(made)
            file = (status.st_dev, status.st_ino)
            assert usage.counted_twice(smaps, (), [file]) == 3 * MIB
            assert usage.counted_twice(smaps, [status.st_dev], ()) >= 3 * MIB
            assert usage.counted_twice(smaps, (), [(file[0], 0)]) == 0
    finally:
        os.close(made)


def test_a_full_folder_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not usage.is_full([tmp_path])
    fields = list(os.statvfs(tmp_path))
    for position in (4, 7):  # f_bavail, f_favail
        values = list(fields)
        values[position] = 0
        monkeypatch.setattr(os, "statvfs", lambda _, values=values: os.statvfs_result(values))
        assert usage.is_full([tmp_path])
