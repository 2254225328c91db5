"""Checkpoints that survive: a folder for each step, which is whole or not there.

    checkpoints = Checkpoints(folder)
    found = checkpoints.load(tensors_for)        None: nothing was saved yet
    checkpoints.save(step, tensors, facts)
    checkpoints.wait()                           a save in the background is over; SaveFailed if it failed

    checkpoints/
        latest                  the name of the newest one: what counts
        step-00000030/
        step-00000040/          index.json and one .safetensors a rank (storage.py), checkpoint.json
        .step-00000050.new/     being written; or left behind by a kill, and removed at the next start

The order makes it safe. A step is written aside; every file and then the folder is flushed to disk; it is renamed;
``latest`` is moved; only then the oldest goes. A kill, a crash or a full disk at any moment leaves ``latest``
pointing to a whole checkpoint. Never save over an old one: half of it would be new, and DCP
may load such a mixture without a word.

All ranks call each method together. Nothing that is loaded can run code: tensors are plain numbers,
the rest is JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from blocks import Damaged
from lock import FolderLock
from storage import INDEX, DirectReader, DirectWriter
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

T = TypeVar("T")
FACTS = "checkpoint.json"
PREFIX = "step-"
PATIENCE = timedelta(minutes=10)  # how long a rank waits for another, in a save


class SaveFailed(Exception):
    """This save came to nothing; the checkpoints from before are as they were."""


class NothingLoads(Exception):
    """There are checkpoints, and none of them is whole."""


@dataclass(frozen=True)
class Loaded:
    tensors: dict[str, Any]
    facts: dict[str, Any]
    name: str


class Checkpoints:
    """The checkpoints of one run, in ``folder``."""

    def __init__(
        self,
        folder: Path,
        *,
        keep: int = 2,
        background: bool = False,
        note: Callable[..., None] = lambda event, **facts: None,
    ) -> None:
        """``note`` is told on rank 0 what happened: note("save", step=..., seconds=..., blocked=...).

        In the ``background``: save() returns when the tensors are copied. It needs memory for one copy.
        """
        self.folder, self.keep, self.background, self.note = folder, keep, background, note
        self.parallel = dist.is_initialized() and dist.get_world_size() > 1
        self.rank = dist.get_rank() if self.parallel else 0
        # A group of its own. In the background other collectives go on meanwhile, and NCCL would have to
        # move what is said here through the GPU.
        self._group = dist.new_group(backend="gloo", timeout=PATIENCE) if self.parallel else None
        self._stager: DefaultStager | None = None
        self._thread: threading.Thread | None = None
        self._problem: BaseException | None = None
        self._lock: FolderLock | None = None
        self.on_rank_0(self._take_over)

    # ---- saving ------------------------------------------------------------------------------

    def save(self, step: int, tensors: dict[str, Any], facts: dict[str, Any]) -> None:
        """Save what a run is at ``step``; SaveFailed on every rank if that does not work on one."""
        started = time.monotonic()
        try:
            self.wait()
        except SaveFailed as problem:  # the one before, in the background; this one may work
            self._say(f"warning: {problem}")
        if not self.background:
            self._write(step, tensors, facts, started, None)
            return
        copies = self._copy(tensors)
        blocked = time.monotonic() - started

        def write() -> None:
            try:
                self._write(step, copies, facts, started, blocked)
            except BaseException as problem:
                self._problem = problem

        # A daemon, so that a program which fails can end. A thread will do: the long parts (copy, checksum,
        # write) are outside of Python.
        self._thread = threading.Thread(target=write, name="save", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the save that is under way, if any, is over; SaveFailed if it failed."""
        if self._thread:
            self._thread.join()
            self._thread = None
        problem, self._problem = self._problem, None
        if problem:
            raise problem

    def _copy(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """A copy in the computer's memory, always the same memory: what is new is slow at first touch."""
        if self._stager is None:
            cuda = torch.cuda.is_available()
            self._stager = DefaultStager(
                StagingOptions(
                    use_pinned_memory=cuda,
                    use_shared_memory=False,
                    use_async_staging=False,
                    use_non_blocking_copy=cuda,
                )
            )
        copies: dict[str, Any] = self._stager.stage(tensors)
        return copies

    def _write(
        self, step: int, tensors: dict[str, Any], facts: dict[str, Any], started: float, blocked: float | None
    ) -> None:
        name = f"{PREFIX}{step:08d}"
        aside = self.folder / f".{name}.new"
        try:
            self.on_rank_0(lambda: self._begin(aside))
            with dcp_errors():
                dcp.save(
                    tensors,
                    storage_writer=DirectWriter(aside),
                    process_group=self._group,
                    no_dist=not self.parallel,
                )
            self.on_rank_0(lambda: self._publish(aside, name, facts))
        except (Problem, OSError) as problem:
            if self.rank == 0:
                shutil.rmtree(aside, ignore_errors=True)  # make room
                self.note("save-failed", step=step, why=str(problem))
            raise SaveFailed(f"step {step} was not saved: {problem}{self._room()}") from problem
        seconds = time.monotonic() - started
        if self.rank == 0:
            self.note("save", step=step, seconds=seconds, blocked=seconds if blocked is None else blocked)

    def _begin(self, aside: Path) -> None:
        self._mine()
        if aside.exists():
            shutil.rmtree(aside)
        aside.mkdir()

    def _publish(self, aside: Path, name: str, facts: dict[str, Any]) -> None:
        """On rank 0, when the bytes of all ranks are on the disk."""
        index = hashlib.sha256((aside / INDEX).read_bytes()).hexdigest()
        write_durably(aside / FACTS, json.dumps(signed({"facts": facts, "index": index})))
        flush_folder(aside)
        self._mine()
        target = self.folder / name
        if target.exists():  # a damaged one, or one that was never announced
            self._remove(target)
        aside.rename(target)
        flush_folder(self.folder)
        write_durably(self.folder / "latest", f"{name}\n")
        flush_folder(self.folder)
        for old in [one for one in self._names() if one <= name][: -self.keep]:
            self._remove(self.folder / old)

    def _remove(self, path: Path) -> None:
        """In two moves, so that half a checkpoint is never seen under a good name."""
        gone = path.with_name(f".{path.name}.old")
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _room(self) -> str:
        """What to say about the disk, if that is the trouble."""
        found = os.statvfs(self.folder)
        free, files = found.f_bavail * found.f_frsize, found.f_favail
        latest = self._latest() or "none yet"
        return f" ({free / 1e9:.2f} GB and {files} files are free there; the last good one is {latest})"

    # ---- loading -----------------------------------------------------------------------------

    def load(self, tensors_for: Callable[[dict[str, Any]], dict[str, Any]]) -> Loaded | None:
        """The checkpoint that ``latest`` names; if it is damaged, the one before, and a word about it.

        ``tensors_for(facts)`` gives the tensors to fill. On the number of ranks that saved them they come back bit
        for bit, and on any other number too: DCP cuts the pieces anew.
        """
        reasons: list[str] = []
        for name in self.on_rank_0(self._candidates):
            folder = self.folder / name
            try:
                facts = self.on_rank_0(lambda folder=folder: self._read_facts(folder))
                tensors = tensors_for(facts)
                with dcp_errors():
                    dcp.load(
                        tensors,
                        storage_reader=DirectReader(folder),
                        process_group=self._group,
                        no_dist=not self.parallel,
                    )
            except Problem as problem:
                reasons.append(f"{name}: {problem}")
                self._say(f"warning: {name} is damaged ({problem}); trying an older one")
                continue
            return Loaded(tensors, facts, name)
        if reasons:
            raise NothingLoads(
                f"no checkpoint in {self.folder} can be loaded. "
                + ". ".join(reasons)
                + ". Nothing was changed;"
                " to begin from the start, move the folder away."
            )
        return None

    def _candidates(self) -> list[str]:
        """Names, the best first: what ``latest`` says, then older ones, then any that were never announced."""
        names = self._names()
        latest = self._latest()
        if latest and latest not in names:
            self._say(f"warning: {self.folder / 'latest'} names {latest}, which is not there")
        older = [name for name in names if not latest or name < latest]
        newer = [name for name in names if latest and name > latest]
        return [*([latest] if latest in names else []), *reversed(older), *reversed(newer)]

    def _read_facts(self, folder: Path) -> dict[str, Any]:
        try:
            found = json.loads((folder / FACTS).read_text())
            index = hashlib.sha256((folder / INDEX).read_bytes()).hexdigest()
        except (OSError, ValueError) as problem:
            raise Damaged(f"{FACTS} or {INDEX} cannot be read: {problem}") from None
        if not is_signed(found) or found["index"] != index:
            raise Damaged(f"the checksum of {FACTS} or {INDEX} is wrong")
        facts: dict[str, Any] = found["facts"]
        return facts

    # ---- small things ------------------------------------------------------------------------

    def _take_over(self) -> None:
        self._lock = FolderLock(self.folder)
        for left in self.folder.glob(f".{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)

    def _mine(self) -> None:
        if self._lock:
            self._lock.check()

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob(f"{PREFIX}*") if path.is_dir())

    def _latest(self) -> str:
        try:
            return (self.folder / "latest").read_text().strip()
        except OSError:
            return ""

    def _say(self, text: str) -> None:
        if self.rank == 0:
            print(text, flush=True)

    def on_rank_0(self, action: Callable[[], T]) -> T:
        """What ``action`` gives on rank 0, on every rank; if it fails there, Problem on every rank."""
        answer: list[Any] = [None, None]
        if self.rank == 0:
            try:
                answer[0] = action()
            except Exception as problem:
                answer[1] = str(problem)
        if self.parallel:
            dist.broadcast_object_list(answer, src=0, group=self._group)
        if answer[1]:
            raise Problem(answer[1])
        result: T = answer[0]
        return result


class Problem(Exception):
    """Something went wrong on one rank; all ranks raise this together."""


@contextmanager
def dcp_errors() -> Iterator[None]:
    """DCP's errors in one line, without the stack of each rank."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # one process: we know
            yield
    except CheckpointException as problem:
        raise Problem("; ".join(f"rank {rank}: {one[0]}" for rank, one in problem.failures.items())) from None


# ---- files -----------------------------------------------------------------------------------


def write_durably(path: Path, text: str) -> None:
    """Put ``text`` into ``path``, whole or not at all, and onto the disk."""
    aside = path.with_name(f".{path.name}.new")
    with aside.open("w") as file:
        file.write(text)
        file.flush()  # from Python to the system
        os.fsync(file.fileno())  # from the system to the disk
    aside.replace(path)  # without the fsync above, a crash may leave the new name with nothing in it


def flush_folder(folder: Path) -> None:
    """Bring the names in ``folder`` onto the disk; a new or renamed file may be lost in a crash before that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def signed(content: dict[str, Any]) -> dict[str, Any]:
    """``content`` with its own checksum."""
    return content | {"sha256": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}


def is_signed(found: dict[str, Any]) -> bool:
    return signed({key: value for key, value in found.items() if key != "sha256"}) == found
