"""Write a file whole: aside, flushed to the disk, renamed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Make ``path`` hold ``data``; whatever happens, it holds the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name that no other thread has and nobody can guess, and "x": no link that stands there is followed.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
