"""Which ids sandboxes have: none twice at the same time, whoever starts them and however they end."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpclab.errors import DeadlineExceeded, HostUnsuitable
from hpclab.sandbox import ids
from hpclab.sandbox.ids import Allocation, IdRange, Owner
from tests import need

ALLOCATE = """
import sys
from pathlib import Path
from hpclab.sandbox import ids

with ids.allocated(seconds=float(sys.argv[2]), files=(Path(sys.argv[1]), Path(sys.argv[1]))) as own:
    print(own.owner, own.range.uid, own.range.gid, own.range.count, flush=True)
    sys.stdin.read()
"""
Process = subprocess.Popen[str]


def subids(tmp_path: Path, text: str) -> tuple[Path, Path]:
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text(text)
    return tmp_path / "subuid", tmp_path / "subgid"


def test_ranges_are_found_by_name_and_by_number() -> None:
    text = "ada:100000:65536\nbob:165536:65536\n1001:300000:1000\n\n# ada:1:1\nada:bad:1\nada:1\n ada:400000:5 \n"
    assert ids.parse(text, "ada", 1001) == [(100000, 65536), (300000, 1000), (400000, 5)]
    assert ids.parse(text, "eve", 7) == []
    assert ids.parse("", "ada", 1001) == []


def overlap(ranges: list[IdRange]) -> bool:
    return any(
        a < b + other.count and b < a + one.count
        for one, other in itertools.combinations(ranges, 2)
        for a, b in ((one.uid, other.uid), (one.gid, other.gid))
    )


def test_roots_ranges_never_overlap() -> None:
    ranges = ids.root_ranges()
    firsts = [one.uid for one in ranges]
    assert len(ranges) > 2000 and all(one.count == ids.ROOT_COUNT for one in ranges)
    assert all(after - before == ids.ROOT_COUNT for before, after in itertools.pairwise(firsts))
    assert firsts[0] >= sum(ids.ROOT_CLUSTER) and firsts[-1] + ids.ROOT_COUNT <= ids.ROOT_END < 0x80000000


@pytest.mark.parametrize(
    ("given", "firsts"),
    [
        # Of a range that a lasting cluster uses, the first ids are its accounts'.
        ([(100_000, 65_536)], [100_000 + ids.LEAST * number for number in range(1, 16)]),
        ([(7, 4096)], [7]),
        ([(7, 4095)], []),
        ([(10_000, 50_000)], [10_000 + ids.LEAST * number for number in range(12)]),
        ([(1, 100), (5000, 9000), (300_000, 4096)], [5000, 9096, 300_000]),
    ],
)
def test_an_ordinary_users_ranges_are_slices(given: list[tuple[int, int]], firsts: list[int]) -> None:
    ranges = ids.slices(given, given)
    assert [one.uid for one in ranges] == [one.gid for one in ranges] == firsts
    assert not overlap(ranges)


def test_slices_end_with_the_scarcer_ids() -> None:
    assert ids.slices([(1000, 3 * 4096)], [(2000, 4096)]) == [IdRange(1000, 2000, 4096)]


def test_the_maps_of_a_plain_sandbox() -> None:
    by_root = ids.plain_maps(Allocation(Owner.ROOT, IdRange(0x70030000, 0x70030000, 65536), -1), 0, 0)
    assert by_root.separate and by_root.uids == ((0, 0x70030000, 65536),)
    by_user = ids.plain_maps(Allocation(Owner.SUBIDS, IdRange(200000, 300000, 4096), -1), 4711, 4712)
    assert by_user.separate
    assert by_user.uids == ((0, 4711, 1), (1, 200000, 4096)) and by_user.gids[1] == (1, 300000, 4096)
    alone = ids.plain_maps(None, 4711, 4712)
    assert not alone.separate and (alone.uids, alone.gids) == (((0, 4711, 1),), ((0, 4712, 1),))


def test_without_sub_ids_there_is_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    for text in ("", "4711:5:100\n", "broken\n", "4711:x:65536\n"):
        files = subids(tmp_path, text)
        assert ids.available(4711, files) == []
        with pytest.raises(HostUnsuitable, match="usermod"), ids.allocated(files=files):
            pass
    files = subids(tmp_path, "mira:1:65536\n4711:200000:65536\n")
    assert ids.available(4711, files)[0] == IdRange(204096, 204096, 4096)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(HostUnsuitable, match="apt-get install uidmap"), ids.allocated(files=files):
        pass


def test_a_lock_folder_that_others_can_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ids.lock_folder(os.geteuid())
    assert made.stat().st_mode & 0o777 == 0o700 and made.is_relative_to("/run" if not os.geteuid() else "/")
    (tmp_path / f"hpclab-ids-{os.geteuid()}").mkdir()
    (tmp_path / f"hpclab-ids-{os.geteuid()}").chmod(0o777)
    monkeypatch.setattr(ids, "Path", lambda *_: tmp_path)
    with pytest.raises(HostUnsuitable, match="only user id"):
        ids.lock_folder(os.geteuid())


# ---- real locks, of real processes ---------------------------------------------------------------


class Account:
    """A user id that allocates: root, or one with the sub-ids of a file."""

    def __init__(self, uid: int, file: Path) -> None:
        self.uid, self._file = uid, file
        self._stack = contextlib.ExitStack()

    def give(self, count: int) -> None:
        self._file.write_text(f"{self.uid}:3000000000:{count}\n")

    def start(self, seconds: float = 120) -> Process:
        """A process that allocates a range, and keeps it until its standard input is closed."""
        process = subprocess.Popen(
            [sys.executable, "-c", ALLOCATE, str(self._file), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=self.uid,
            cwd="/",
        )
        self._stack.callback(end, process)
        return process

    def close(self) -> None:
        self._stack.close()


def read(process: Process) -> IdRange:
    assert process.stdout
    line = process.stdout.readline().split()
    assert len(line) == 4, f"{line} {process.stdout.read()}"
    return IdRange(*map(int, line[1:]))


def end(process: Process) -> None:
    if process.stdin and not process.stdin.closed:
        process.stdin.close()
    process.wait(timeout=60)
    assert process.stdout
    process.stdout.close()


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    """A file in a folder that every user can enter."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == Path("~").expanduser().owner() and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path / "sub-ids"


@pytest.fixture
def ordinary(readable: Path) -> Iterator[Account]:
    """An account with sub-ids: made up where root runs this, else this user with a made-up file."""
    need.program("newuidmap", "uidmap")
    uid = os.geteuid() or 4_000_000 + os.getpid()
    account = Account(uid, readable)
    yield account
    account.close()
    if os.geteuid() == 0:
        for top in ("/run/lock", "/var/tmp"):
            shutil.rmtree(f"{top}/hpclab-ids-{uid}", ignore_errors=True)


def test_twenty_processes_of_root_get_twenty_ranges(readable: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root; the test of an ordinary user covers this account")
    account = Account(0, readable)
    with contextlib.closing(account):
        processes = [account.start() for _ in range(20)]
        ranges = [read(process) for process in processes]
    assert len({one.uid for one in ranges}) == 20 and not overlap(ranges)


def test_twenty_processes_of_a_user_get_twenty_ranges(ordinary: Account) -> None:
    ordinary.give(2 * 65536)
    processes = [ordinary.start() for _ in range(20)]
    ranges = [read(process) for process in processes]
    assert len({one.uid for one in ranges}) == 20 and not overlap(ranges)


def test_the_ranges_of_a_killed_process_are_free_again(ordinary: Account) -> None:
    ordinary.give(2 * ids.LEAST)
    first, second = ordinary.start(), ordinary.start()
    both = {read(first).uid, read(second).uid}
    waiting = ordinary.start()
    first.kill()
    assert read(waiting).uid in both


def test_too_few_sub_ids_end_in_an_error_with_a_remedy(ordinary: Account) -> None:
    ordinary.give(ids.LEAST)
    read(ordinary.start())
    late = ordinary.start(seconds=0.1)
    assert late.stdout
    said = late.stdout.read()
    assert DeadlineExceeded.__name__ in said and "1 ranges of 4096" in said and "more sub-ids" in said


def test_a_range_is_kept_while_any_program_holds_its_lock() -> None:
    """A sandbox's agent may outlive whoever started it for a moment."""
    if not ids.available(os.geteuid()):
        pytest.skip("this account has no sub-ids")
    with ids.allocated() as own:
        agent = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[own.lock])
    try:
        with ids.allocated() as other:
            assert other.range != own.range
    finally:
        agent.communicate(timeout=60)
    path = ids.lock_folder(os.geteuid()) / f"{own.range.uid}-{own.range.gid}"
    lock = ids.locks.try_lock(path)
    assert lock is not None
    os.close(lock)
