"""One writer for one folder.

    lock = FolderLock(folder)     by rank 0, before anything is read or written
    lock.check()                  before each change that counts

Two jobs that write checkpoints into one folder would purge each other's. The kernel's lock (and over a
network file system, its server's) is gone when its holder is gone, however that died; a file that just
exists would stay behind and lock everybody out.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any


class FolderTaken(Exception):
    """Somebody else writes here."""


class FolderLock:
    """Holds ``folder`` until this process ends."""

    def __init__(self, folder: Path, patience: float = 30) -> None:
        """Wait up to ``patience`` seconds for an earlier attempt that is just ending; else FolderTaken."""
        folder.mkdir(parents=True, exist_ok=True)
        self.note = folder / "owner.json"
        self.token = uuid.uuid4().hex
        # Stays open. POSIX locks are not inherited, so a loader's worker that outlives us does not keep it.
        self._file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + patience
        while not self._taken():
            owner = self._owner()
            if time.monotonic() > deadline:
                if is_over(owner.get("job", "")):
                    break  # left over on a node that Slurm gave up; check() will stop it
                raise FolderTaken(
                    f"{folder} is in use by job {owner.get('job') or 'none'}, process {owner.get('process')} on"
                    f" {owner.get('host')}, since {owner.get('since')}. Give each run a folder of its own, or end that one first."
                )
            time.sleep(0.1)
        aside = self.note.with_name(f".owner.{self.token}")
        aside.write_text(
            json.dumps(
                {
                    "token": self.token,
                    "job": os.environ.get("SLURM_JOB_ID", ""),
                    "host": socket.gethostname(),
                    "process": os.getpid(),
                    "since": time.strftime("%Y-%m-%d %H:%M:%S"),
                }
            )
        )
        aside.replace(self.note)

    def _taken(self) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as problem:  # a file system without locks, as Lustre mounted without -o flock
            print(
                f"note: no lock on {self.note.parent}, so two jobs must not share it: {problem}", flush=True
            )
        return True

    def _owner(self) -> dict[str, Any]:
        try:
            owner: dict[str, Any] = json.loads(self.note.read_text())
        except (OSError, ValueError):
            return {}
        return owner

    def check(self) -> None:
        """Fail if the folder went to somebody else.

        A node that lost its network may go on computing for minutes, while the job already runs elsewhere.
        """
        owner = self._owner()
        if owner.get("token") != self.token:
            raise FolderTaken(f"{self.note.parent} went to job {owner.get('job')} on {owner.get('host')}")


def is_over(job: str) -> bool:
    """Whether Slurm says that ``job`` runs no more, or it is an earlier attempt of this very job."""
    if not job or not shutil.which("squeue"):
        return False
    if job == os.environ.get("SLURM_JOB_ID"):
        return True
    asked = subprocess.run(
        ["squeue", "--noheader", f"--jobs={job}", "--states=RUNNING,SUSPENDED"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    # Of a job that ended some minutes ago Slurm knows nothing any more, and says so.
    return not asked.stdout.strip() and (asked.returncode == 0 or "Invalid job id" in asked.stderr)
