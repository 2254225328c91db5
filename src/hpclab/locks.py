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

    lock = wait_until(
        lambda: try_lock(path), what, seconds=seconds, remedy=f"See which process holds it: fuser -v {path}"
    )
    try:
        yield
    finally:
        os.close(lock)


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock file ``path``; None while another one does. Raises HpclabError.

    The lock is free when every copy of the descriptor is closed; other programs do not inherit it.
    """
    lock = _open(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise HpclabError(
            f"{path}: {problem.strerror}",
            "hpclab needs folders it can write to; choose them with HPCLAB_STATE=FOLDER and HPCLAB_CACHE=FOLDER.",
        ) from None
