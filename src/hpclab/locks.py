"""A lock between processes that ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpclab.errors import HpclabError
from hpclab.shell import wait_until


@contextmanager
def held(path: Path, what: str, *, seconds: float) -> Iterator[None]:
    """Hold the lock file ``path``, waiting for ``what``. Raises DeadlineExceeded, HpclabError.

    The holder may remove the file: whoever waited for it then takes a new one.
    """

    def take() -> int | None:
        lock = _open(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(lock)
        return None

    lock = wait_until(take, what, seconds=seconds, remedy=f"See which process holds it: fuser -v {path}")
    try:
        yield
    finally:
        os.close(lock)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise HpclabError(
            f"{path}: {problem.strerror}",
            "hpclab needs folders it can write to; choose them with HPCLAB_STATE=FOLDER and HPCLAB_CACHE=FOLDER.",
        ) from None
