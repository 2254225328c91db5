"""A lock between processes on a file of the class; it ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpclab.shell import wait_until


@contextmanager
def locked(path: Path, *, seconds: float = 120) -> Iterator[int]:
    """Hold ``path`` (made when it is not there, never removed) and give its descriptor. Raises DeadlineExceeded."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # For writing: over NFS, flock is a lock on bytes and asks for that.
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:

        def take() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_until(
            take,
            f"the lock {path}",
            seconds=seconds,
            every=0.002,
            remedy=f"See which process holds it: fuser -v {path}",
        )
        yield file
    finally:
        os.close(file)
