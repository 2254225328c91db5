"""A lock between processes on a file; it ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hpclab.errors import HpclabError
from hpclab.shell import wait_until


@contextmanager
def held(
    path: Path,
    what: str,
    *,
    seconds: float,
    every: float = 0.05,
    shared: bool = False,
    waits: Callable[[], object] = lambda: None,
) -> Iterator[int]:
    """Hold the lock file ``path`` (made where it is missing), waiting for ``what``; gives its descriptor.

    ``shared``: with others who share it. ``waits`` is called once where somebody else has it. The holder may
    remove the file: whoever waited for it then takes a new one. Raises DeadlineExceeded, HpclabError.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX

    def take() -> int | None:
        lock = _open(path)
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
        return None

    lock = take()
    if lock is None:
        if seconds:
            waits()
        remedy = f"See which process holds it: fuser -v {path}"
        # Descriptor 0 would read as false; whoever asks has a standard input.
        lock = wait_until(take, what, seconds=seconds, every=every, remedy=remedy)
    try:
        yield lock
    finally:
        os.close(lock)


def _open(path: Path) -> int:
    """For writing: over NFS, flock is a lock on bytes and asks for that."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as problem:
        raise HpclabError(
            f"{path}: {problem.strerror}",
            "hpclab needs folders it can write to; choose them with HPCLAB_STATE=FOLDER and HPCLAB_CACHE=FOLDER.",
        ) from None
