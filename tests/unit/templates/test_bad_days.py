"""Damaged files, full disks, two writers, other versions: the old state loads, and a line says what happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .conftest import PATIENCE, QUIET, SMALL, TEMPLATES, Training, same
from .test_exact_resume import HELD, KILL_AT_STEP

KILL = KILL_AT_STEP.format(step=11, rank=0)  # after the saves of steps 5 and 10


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    """One bit, in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 4]))


def empty(path: Path) -> None:
    os.truncate(path, 0)


SHARD = "00000-of-00001.safetensors"
DAMAGE: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "shard cut off": (cut, SHARD, "was written with"),
    "a bit of a shard": (flip, SHARD, "the checksum of bytes 0 to"),
    "shard missing": (Path.unlink, SHARD, "is missing"),
    "index cut off": (cut, "index.json", "the checksum of checkpoint.json or index.json"),
    "a bit of the index": (flip, "index.json", "the checksum of"),
    "index missing": (Path.unlink, "index.json", "cannot be read"),
    "facts cut off": (cut, "checkpoint.json", "cannot be read"),
    "a bit of the facts": (flip, "checkpoint.json", "checkpoint.json"),
    "facts empty": (empty, "checkpoint.json", "cannot be read"),
}


@pytest.fixture(scope="module")
def killed(nursery: Any, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A run with two checkpoints, killed; to be copied."""
    training = Training(nursery, tmp_path_factory.mktemp("killed"))
    assert training.run(KILL) == [-9]
    assert training.latest.name == "step-00000010"
    return training


@pytest.fixture
def copied(killed: Training, training: Training) -> Training:
    subprocess.run(["cp", "-a", killed.folder, training.folder], check=True)
    return training


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_checkpoint(copied: Training, undisturbed: Callable[..., Any], what: str) -> None:
    damage, name, said = DAMAGE[what]
    damage(copied.latest / name)
    same(copied.finish(), undisturbed())
    assert [step for _, step in copied.events("start")] == [0, 5]
    line = next(line for line in copied.log().splitlines() if "is damaged" in line)
    assert line.startswith("warning: step-00000010 is damaged") and said in line


@pytest.mark.parametrize(
    "pointer", ["", "step-00000010\n", "step-99999999\n", None], ids=["empty", "newest", "not there", "none"]
)
def test_the_pointer(copied: Training, undisturbed: Callable[..., Any], pointer: str | None) -> None:
    latest = copied.checkpoints / "latest"
    latest.unlink() if pointer is None else latest.write_text(pointer)
    same(copied.finish(), undisturbed())
    assert copied.events("start")[1][1] == 10


def test_back_to_an_older_one_on_purpose(copied: Training, undisturbed: Callable[..., Any]) -> None:
    (copied.checkpoints / "latest").write_text("step-00000005\n")
    same(copied.finish(), undisturbed())
    assert copied.events("start")[1][1] == 5


def test_nothing_loads(copied: Training) -> None:
    """Then it must not begin anew by itself, over what may be somebody's month of computing."""
    for folder in copied.checkpoints.glob("step-*"):
        flip(folder / SHARD)
    assert copied.run() == [78]
    assert "no checkpoint in checkpoints can be loaded" in copied.log()
    assert len(list(copied.checkpoints.glob("step-*"))) == 2, "left for somebody to look at"


def test_a_shard_of_one_rank_is_damaged(training: Training, undisturbed: Callable[..., Any]) -> None:
    """Only rank 1 reads it; all ranks take the older one."""
    training.ranks, training.words = 2, (*SMALL, "--parallel=fsdp")
    assert training.run(KILL)[0] == -9
    flip(training.latest / "00001-of-00002.safetensors")
    same(training.finish(), undisturbed(2, "--parallel=fsdp"))
    assert [step for _, step in training.events("start")] == [0, 5]
    assert "00001-of-00002.safetensors: the checksum" in training.log()


def test_another_version_of_the_code(copied: Training, undisturbed: Callable[..., Any]) -> None:
    same(copied.finish(prepare='train.code_version = lambda: "0123abcd"'), undisturbed())
    assert (
        "note: saved with code" in copied.log()
        and "and this is 0123abcd; the results may differ" in copied.log()
    )


def test_another_processor(copied: Training, undisturbed: Callable[..., Any]) -> None:
    """Each attempt writes down what computes; one that goes on elsewhere says so."""
    same(copied.finish(prepare='train.processor = lambda device: "abacus"'), undisturbed())
    said = [line["processor"] for line in copied.lines("goodput.jsonl") if line["event"] == "start"]
    assert len(set(said)) == 2 and said[-1] == "abacus"
    assert f"note: saved with processor {said[0]}, and this is abacus; the results may differ" in copied.log()


def test_another_training(copied: Training) -> None:
    before = sorted(copied.checkpoints.glob("step-*"))
    assert copied.run(words=("--lr=0.5", "--width=8")) == [78]
    assert "belongs to another training: --lr=0.003, now 0.5; --width=16, now 8" in copied.log()
    assert sorted(copied.checkpoints.glob("step-*")) == before


def test_finished_is_finished(copied: Training) -> None:
    copied.finish()
    before = sorted(path.name for path in copied.checkpoints.iterdir())
    assert copied.run() == [0]
    assert "this run is finished" in copied.log()
    assert sorted(path.name for path in copied.checkpoints.iterdir()) == before


def test_attempts_without_progress(training: Training) -> None:
    """Each is killed before its first save; the third is refused."""
    training.words = (*SMALL, "--attempts=2")
    for _ in range(2):
        assert training.run(KILL_AT_STEP.format(step=3, rank=0)) == [-9]
    assert training.run() == [78]
    assert "the last 2 attempts began at step 0" in training.log() and "--attempts=4" in training.log()
    assert training.run(words=("--attempts=4",)) == [0]


def test_progress_takes_the_count_back(training: Training) -> None:
    training.words = (*SMALL, "--attempts=2")
    for step in (3, 7, 8, 11):
        assert training.run(KILL_AT_STEP.format(step=step, rank=0)) == [-9]
    assert training.run() == [0]


# ---- the disk --------------------------------------------------------------------------------

FULL = """
import errno, os
from checkpoint import Checkpoints
filling = False
def pwrite(*words):
    if filling:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return real(*words)
real, os.pwrite = os.pwrite, pwrite
write = Checkpoints._write
def saved(self, step, *words):
    global filling
    filling = rank == {rank} and step in {steps}
    write(self, step, *words)
Checkpoints._write = saved
"""


@pytest.mark.parametrize("more", [(), ("--background",)])
def test_one_save_fails_on_one_rank(
    training: Training, undisturbed: Callable[..., Any], more: tuple[str, ...]
) -> None:
    """The training goes on, and the next save works."""
    training.ranks, training.words = 2, (*SMALL, *more)
    same(training.finish(prepare=FULL.format(rank=1, steps=(10,))), undisturbed(2, *more))
    assert training.events("save", "save-failed") == [("save", 5), ("save-failed", 10), ("save", 12)]
    said = next(line for line in training.log().splitlines() if line.startswith("warning"))
    assert "step 10 was not saved: rank 1: [Errno 28] No space left on device" in said
    assert "the last good one is step-00000005" in said
    assert not list(training.checkpoints.glob(".step*")), "makes room again"


def test_the_last_save_fails(training: Training) -> None:
    training.start(FULL.format(rank=0, steps=(5, 4)) + HELD)
    training.until_there("held-0")
    training.signal(signal.SIGTERM)
    (training.folder / "go").touch()
    assert training.end() == [78], "it stopped, but what it computed is lost"
    assert "error: step 4 was not saved" in training.log()


ON_A_SMALL_DISK = """
mount -t tmpfs -o {limits} small "$0" && cd "$0" || exit
{fill}
"$@" --checkpoints=checkpoints --out=result.json
code=$?
ls checkpoints >&2
{empty}
"$@" --checkpoints=checkpoints --out=result.json
echo "codes $code $?"
cat result.json
"""


@pytest.mark.parametrize(
    ("limits", "fill", "clear"),
    [
        # Room for two checkpoints of 72 kB and not for the third.
        ("size=200k", "", "mount -o remount,size=4m ."),
        ("nr_inodes=14", "", "mount -o remount,nr_inodes=100 ."),
    ],
    ids=["bytes", "inodes"],
)
def test_a_full_file_system(
    tmp_path: Path, undisturbed: Callable[..., Any], limits: str, fill: str, clear: str
) -> None:
    """A real one. Saves fail, the run goes on; and when there is room again it has kept what was whole."""
    script = ON_A_SMALL_DISK.format(limits=limits, fill=fill, empty=clear)
    words = [sys.executable, str(TEMPLATES / "train_resumable.py"), *SMALL]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(tmp_path), *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | QUIET,
        check=False,
    )
    text = done.stdout + done.stderr
    assert "No space left on device" in text
    assert "codes 78 0" in done.stdout, text
    same(json.loads(done.stdout[done.stdout.index("{") :]), undisturbed())


# ---- two writers -----------------------------------------------------------------------------


def test_two_jobs_in_one_folder(
    training: Training, undisturbed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    training.start(HELD)
    training.until_there("held-0")
    second = Training(training.nursery, training.folder, words=(*SMALL, "--out=other.json"))
    impatient = "import lock; lock.FolderLock.__init__.__defaults__ = (0.2,)"
    assert second.run(impatient) == [78]
    said = next(line for line in training.log().splitlines() if line.startswith("error"))
    assert f"is in use by job none, process {training.pids[0]} on" in said
    (training.folder / "go").touch()
    assert training.end() == [0]
    same(training.result, undisturbed())


def test_the_lock_of_a_killed_run_is_gone(training: Training) -> None:
    assert training.run(KILL) == [-9]
    assert (training.checkpoints / "owner.json").exists()
    training.finish(prepare="import lock; lock.FolderLock.__init__.__defaults__ = (0.0,)")


LOST = """
import json, lock, os, pathlib
from checkpoint import Checkpoints
begin = Checkpoints._begin
def stolen(self, aside):
    if "00010" in aside.name:  # the next attempt of the same job, on another node
        owner = self.folder / "owner.json"
        owner.write_text(json.dumps(json.loads(owner.read_text()) | {"token": "another", "job": "77", "host": "nid007"}))
    begin(self, aside)
Checkpoints._begin = stolen
"""


def test_a_run_that_lost_its_folder_writes_no_more(training: Training) -> None:
    """Its node was cut off, and the job runs elsewhere by now."""
    assert training.run(LOST) == [78]
    assert "checkpoints went to job 77 on nid007" in training.log()
    assert training.latest.name == "step-00000005"


@pytest.mark.parametrize(
    ("listed", "code", "over"), [("", 0, True), ("RUNNING", 0, False), ("", 1, False)], ids=str
)
def test_a_lock_that_a_finished_job_left(
    module: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listed: str,
    code: int,
    over: bool,
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\necho '{listed}'\nexit {code}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    lock = module("lock")
    assert lock.is_over("12") is over
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert lock.is_over("12"), "an earlier attempt of this job"
    assert not lock.is_over("")
