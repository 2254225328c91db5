"""Atomic replacement of a file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace the content of ``path`` atomically: after a crash it is the old or the new content, never a part.

    The data is written to a temporary file in the same folder, flushed to disk, and renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A random name, so that threads do not collide, and mode "x", so that an existing link is not followed.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
