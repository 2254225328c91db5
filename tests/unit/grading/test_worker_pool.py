"""The pool of workers: how many at once, for how long, and that none outlives it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpclab import locks
from hpclab.app import parallel
from hpclab.app.grading import local_worker, worker_pool
from hpclab.errors import DeadlineExceeded, HostUnsuitable
from hpclab.sandbox import ids

Workers = Callable[[], list[psutil.Process]]
SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


def run_round(tmp_path: Path, commands: Sequence[Sequence[str]], **more: Any) -> None:
    settings: dict[str, Any] = {"at_once": 2, "seconds": 60.0, "look": lambda: None, "say": lambda _: None}
    logs = [tmp_path / f"log/{number}.log" for number in range(len(commands))]
    with parallel.Cancellation() as stop:
        worker_pool.run_round(
            commands, logs, alive=tmp_path / "alive", stop=more.pop("stop", stop), **settings | more
        )


@pytest.fixture
def workers() -> Workers:
    """A function that lists what this test has started; other tests may have left helpers of multiprocessing."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: [child for child in psutil.Process().children(recursive=True) if child not in before]


def test_no_more_run_at_once_than_asked(tmp_path: Path, workers: Workers) -> None:
    most: list[int] = []
    short = [sys.executable, "-c", "import time; time.sleep(0.3)"]
    run_round(tmp_path, [short] * 5, at_once=2, look=lambda: most.append(len(workers())))
    assert max(most) == 2
    assert workers() == []


def test_what_a_worker_prints_is_in_its_log(tmp_path: Path) -> None:
    run_round(tmp_path, [[sys.executable, "-c", f"print({number})"] for number in range(3)])
    assert [(tmp_path / f"log/{number}.log").read_text() for number in range(3)] == ["0\n", "1\n", "2\n"]


def test_a_worker_whose_time_is_over_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    run_round(tmp_path, [SLEEPS, [sys.executable, "-c", "print('fine')"]], seconds=5.0)
    assert time.monotonic() - began < 60
    assert "ended: its limit of 5 s is over" in (tmp_path / "log/0.log").read_text()
    assert (tmp_path / "log/1.log").read_text() == "fine\n"


def test_an_error_ends_all_workers(tmp_path: Path, workers: Workers) -> None:
    def look() -> None:
        assert len(workers()) == 2
        raise DeadlineExceeded("a node refuses")

    with pytest.raises(DeadlineExceeded, match="a node refuses"):
        run_round(tmp_path, [SLEEPS, SLEEPS, SLEEPS], look=look)
    assert workers() == []


def test_a_signal_ends_all_workers(tmp_path: Path, workers: Workers) -> None:
    with parallel.Cancellation() as stop, pytest.raises(parallel.Interrupted):
        run_round(tmp_path, [SLEEPS], stop=stop, look=stop.cancel)
    assert workers() == []


def test_the_lock_is_held_as_long_as_a_worker_lives(tmp_path: Path) -> None:
    def look() -> None:
        with pytest.raises(DeadlineExceeded), locks.held(tmp_path / "alive", "workers", seconds=0):
            pass

    run_round(tmp_path, [[sys.executable, "-c", "import time; time.sleep(0.3)"]], look=look)
    with locks.held(tmp_path / "alive", "workers", seconds=0):
        pass


def test_a_worker_of_root_knows_nothing_of_roots_environment(tmp_path: Path) -> None:
    mine = {"PATH": "/opt/bin", "HOME": "/root", "TOKEN": "secret", "SLURM_JOB_ID": "7", "LANG": "C"}
    found = worker_pool.environment(mine, tmp_path, by_root=True)
    assert found["PATH"] == os.defpath and found["HOME"] == "/nonexistent" and found["LANG"] == "C"
    assert found["HPCLAB_STATE"] == str(tmp_path / "state")
    assert not {"TOKEN", "SLURM_JOB_ID"} & found.keys()
    usual = worker_pool.environment(mine, tmp_path, by_root=False)
    assert (usual["PATH"], usual["HOME"]) == ("/opt/bin", "/root")
    assert not {"TOKEN", "SLURM_JOB_ID"} & usual.keys()


def test_an_image_without_apptainer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostUnsuitable, match="--image needs Apptainer"):
        worker_pool.interpreter(tmp_path / "spool", tmp_path / "grader.sif")
    program = tmp_path / "apptainer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    argv = worker_pool.interpreter(tmp_path / "spool", tmp_path / "grader.sif")
    assert argv[:3] == [str(program), "exec", "--containall"]
    assert argv[-2:] == [str(tmp_path / "grader.sif"), worker_pool.IMAGE_PYTHON]


def test_ids_of_workers_lie_outside_of_those_of_sandboxes() -> None:
    accounts, many = local_worker.ACCOUNTS
    taken: set[int] = set()
    for slot in range(local_worker.SLOTS):
        root, sandboxes = (
            [int(word) for word in row.split()] for row in local_worker.id_map(7, slot).splitlines()
        )
        assert root == [0, 7, 1]
        inside, outside, count = sandboxes
        assert (inside, count) == (local_worker.INSIDE, 4 * 65536)
        assert outside + count <= accounts and outside not in taken
        taken |= {outside + part * ids.ROOT_COUNT for part in range(local_worker.RANGES)}
    assert len(taken) == local_worker.SLOTS * local_worker.RANGES and accounts + many < 2**31
    one = local_worker.account_of("11111111-2222-3333-4444-555555555555")
    other = local_worker.account_of("11111111-2222-3333-4444-555555555556")
    assert one != other and accounts <= min(one, other) <= max(one, other) < accounts + many


def test_closed_folders_on_the_way_are_found(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    needed = tmp_path / "home/me/course"
    needed.mkdir(parents=True)
    (tmp_path / "home/me").chmod(0o700)
    assert tmp_path / "home/me" in local_worker.closed_parents([needed]) or any(
        not parent.stat().st_mode & 1 for parent in tmp_path.parents
    )
    assert local_worker.topmost([Path("/a/b"), Path("/a"), Path("/c")]) == [Path("/a"), Path("/c")]
