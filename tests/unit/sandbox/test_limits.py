"""Limits: what is exceeded, what a control group is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpclab.sandbox import groups, limits
from hpclab.sandbox.groups import Group
from hpclab.sandbox.limits import IsolationLimits
from hpclab.sandbox.termination import Termination
from hpclab.sandbox.usage import Usage

LIMITS = IsolationLimits(memory_mib=64, processes=5, disk_mib=4, inodes=50, seconds=10)


def test_each_limit_is_of_all_processes_together() -> None:
    most = LIMITS.memory_mib << 20
    for used, limit in (
        (Usage(tasks=5, memory_bytes=most), None),
        (Usage(tasks=6), Termination.PROCESSES),
        (Usage(tasks=4, zombies=2), Termination.PROCESSES),
        (Usage(tasks=1, memory_bytes=most + 1), Termination.MEMORY),
    ):
        assert limits.exceeded(LIMITS, used) is limit


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    code = """
import sys
from hpclab.sandbox import limits
limits.set_rlimits(limits.IsolationLimits(memory_mib=100, processes=50, disk_mib=1, inodes=9, seconds=3))
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
