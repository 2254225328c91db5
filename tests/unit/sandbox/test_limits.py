"""Limits: what is exceeded, what a control group is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpclab.sandbox import limits
from hpclab.sandbox.limits import IsolationLimits
from hpclab.sandbox.termination import Termination
from hpclab.sandbox.usage import SandboxUsage

LIMITS = IsolationLimits(memory_mib=64, processes=5, disk_mib=4, inodes=50, seconds=10)


def test_each_limit_is_of_all_processes_together() -> None:
    most = LIMITS.memory_mib << 20
    for used, limit in (
        (SandboxUsage(tasks=5, memory_bytes=most), None),
        (SandboxUsage(tasks=6), Termination.PROCESSES),
        (SandboxUsage(tasks=4, zombies=2), Termination.PROCESSES),
        (SandboxUsage(tasks=1, memory_bytes=most + 1), Termination.MEMORY),
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
