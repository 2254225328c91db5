"""Locks between processes: waiting, sharing, and a file that its holder removes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpclab import locks
from hpclab.errors import DeadlineExceeded, HpclabError

HOLDS = (
    "import sys; from pathlib import Path; from hpclab import locks\n"
    "with locks.held(Path(sys.argv[1]), 'x', seconds=5):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def test_a_lock_excludes_others_and_ends_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "deep/lock"
    waited: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(DeadlineExceeded, match="the other one") as error,
            locks.held(path, "the other one", seconds=0.05, waits=lambda: waited.append("once")),
        ):
            pass
        assert "fuser -v" in error.value.remedy and waited == ["once"]
        holder.kill()
        holder.wait(30)
        with locks.held(path, "the other one", seconds=30):
            pass


def test_a_shared_lock_is_shared_and_keeps_others_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        locks.held(path, "a", seconds=0, shared=True),
        locks.held(path, "b", seconds=0, shared=True),
        pytest.raises(DeadlineExceeded),
        locks.held(path, "c", seconds=0),
    ):
        pass
    with locks.held(path, "d", seconds=0):
        pass


def test_whoever_waited_for_a_removed_file_takes_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.held(path, "a", seconds=0):
        path.unlink()
        with locks.held(path, "b", seconds=0):
            assert path.exists()


def test_a_link_is_no_lock_file(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HpclabError, match="lock"), locks.held(tmp_path / "lock", "a", seconds=0):
        pass
    assert not (tmp_path / "elsewhere").exists()
