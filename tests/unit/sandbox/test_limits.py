"""Limits: what the watcher counts, what a control group is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpclab.sandbox import groups, limits
from hpclab.sandbox.groups import Group
from hpclab.sandbox.limits import Use

USE = Use(memory_mb=64, processes=5, disk_mb=4, inodes=50, seconds=10)


def process(
    proc: Path, pid: int, *, threads: int = 1, anon: int = 0, shared: int = 0, exact: int | None = None
) -> None:
    """A process as /proc shows it; sizes in MiB."""
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "status").write_text(
        f"Name:\tRssAnon: 0 Threads: 0\nRssAnon:\t{anon << 10} kB\nRssFile:\t9000000 kB\n"
        f"RssShmem:\t{shared << 10} kB\nThreads:\t{threads}\n"
    )
    exact = anon + shared if exact is None else exact
    (proc / str(pid) / "smaps_rollup").write_text(f"Pss_Anon: {exact << 10} kB\nPss_Shmem: 0 kB\n")


def test_processes_are_counted_together_threads_too(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    process(tmp_path, 1, threads=500, anon=500)  # the watcher itself
    process(tmp_path, 2, threads=3)
    process(tmp_path, 3, threads=2)
    assert limits.broken(USE, tmp_path, but=1) == ""
    (tmp_path / "4").mkdir()  # one that ends just now
    (tmp_path / "5").mkdir()
    (tmp_path / "5/status").write_text("Name:\tzombie\nState:\tZ\nThreads:\t1\n")
    assert limits.broken(USE, tmp_path, but=1) == "processes"


def test_memory_is_counted_together_and_shared_pages_once(tmp_path: Path) -> None:
    process(tmp_path, 2, anon=40, shared=10)
    assert limits.broken(USE, tmp_path, but=1) == ""
    process(tmp_path, 3, anon=40, exact=5)
    assert limits.broken(USE, tmp_path, but=1) == ""  # pages of a parent and its child
    process(tmp_path, 4, anon=10, exact=10)
    assert limits.broken(USE, tmp_path, but=1) == "memory"


def test_files_without_a_name_are_memory() -> None:
    def held(number: int) -> int:
        return limits.unnamed_files(Path("/proc"), [str(os.getpid())])[
            os.fstat(number).st_dev, os.fstat(number).st_ino
        ]

    made = os.memfd_create("hoard")
    os.write(made, bytes(3 << 20))
    copy = os.dup(made)
    assert held(made) == 3 << 20
    os.close(made)
    assert held(copy) == 3 << 20
    os.close(copy)


def test_a_full_folder_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not limits.full([tmp_path])
    real = os.statvfs(tmp_path)
    fields = list(real)
    for position in (4, 7):  # f_bavail, f_favail
        values = list(fields)
        values[position] = 0
        monkeypatch.setattr(os, "statvfs", lambda _, values=values: os.statvfs_result(values))
        assert limits.full([tmp_path])


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    code = """
import sys
from hpclab.sandbox import limits
limits.set_rlimits(limits.Use(memory_mb=100, processes=50, disk_mb=1, inodes=9, seconds=3))
exec(sys.stdin.read())
"""
    started = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield started
    started.kill()
    started.wait(timeout=30)


def test_rlimits_hold_one_process(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    program = f"""
import resource
try:
    bytearray(700 << 20)
except MemoryError:
    print("memory")
try:
    open({str(tmp_path / "large")!r}, "wb").write(bytes(2 << 20))
except OSError as problem:
    print(problem.strerror)
print(resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_NPROC))
"""
    out, _ = child.communicate(program.encode(), timeout=60)
    assert out.decode().splitlines() == ["memory", "File too large", "(0, 0) (66, 66)"]


def version(root: Path, lines: str, *files: str) -> Path:
    own = root / "own"
    own.write_text(lines)
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("0")
    return own


def test_a_group_is_made_where_its_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = version(tmp_path, "9:name=systemd:/\n8:pids:/\n4:memory:/job/step\n1:cpu:/\n0::/\n")
    for folder in ("pids", "memory/job/step", "cpu"):
        (tmp_path / folder).mkdir(parents=True)
    real = Path.mkdir

    def mkdir(path: Path, *words: object, **named: object) -> None:
        """The kernel fills a new group with its files."""
        real(path, *words, **named)  # type: ignore[arg-type]
        name = "memory.limit_in_bytes" if "memory" in path.parts else "pids.max"
        (path / name).write_text("max")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    made = groups.new("mine", root=tmp_path, own=own)
    assert made and sorted(path.parent for path in made.paths) == [
        tmp_path / "memory/job/step",
        tmp_path / "pids",
    ]
    memory, pids = sorted(made.paths)
    made.limit(100, 7)
    assert (memory / "memory.limit_in_bytes").read_text() == str(100 << 20)
    assert (pids / "pids.max").read_text() == "7"
    made.add(42)
    assert (pids / "cgroup.procs").read_text() == "42"


def test_where_no_group_may_be_made_there_is_none(tmp_path: Path) -> None:
    assert groups.new("mine", root=tmp_path, own=version(tmp_path, "0::/user.slice/x.scope\n")) is None
    assert groups.new("mine", root=tmp_path, own=tmp_path / "none") is None
    # Beside this process's own group of version 2, but it is given no controller there: nothing to be had.
    own = version(
        tmp_path, "0::/user.slice/x.scope\n", "cgroup.controllers", "user.slice/x.scope/cgroup.procs"
    )
    assert groups.new("mine", root=tmp_path, own=own) is None
    assert [path.name for path in (tmp_path / "user.slice").iterdir()] == ["x.scope"]


def test_groups_of_keepers_that_were_killed_are_swept_away(tmp_path: Path) -> None:
    own = version(tmp_path, "4:memory:/\n")
    gone, here, others = (
        tmp_path / "memory" / name for name in ("mine-99999999-ab", f"mine-{os.getpid()}-cd", "else")
    )
    for path in (gone, here, others):
        path.mkdir(parents=True)
    groups.sweep("mine", root=tmp_path, own=own)
    assert [path.exists() for path in (gone, here, others)] == [False, True, True]


def test_what_the_kernel_killed_for_its_memory_is_known(tmp_path: Path) -> None:
    group = Group([tmp_path])
    assert not group.killed()
    for name, text in (
        ("memory.events", "low 0\noom 1\noom_kill 1\n"),
        ("memory.oom_control", "under_oom 0\noom_kill 2\n"),
    ):
        (tmp_path / name).write_text(text)
        assert group.killed()
        (tmp_path / name).write_text(
            text.replace("oom_kill 1", "oom_kill 0").replace("oom_kill 2", "oom_kill 0")
        )
        assert not group.killed()


def test_every_limit_has_words() -> None:
    for grouped in (True, False):
        assert set(limits.words(grouped=grouped)) == {"seconds", "memory", "processes", "disk", "output"}
