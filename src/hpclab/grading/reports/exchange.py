"""Feedback through nbgrader's exchange: one file per submission, under a name that only its owner can know.

nbgrader leaves a secret in each submission, and `nbgrader fetch_feedback` looks for the file whose name is
derived from it. The secret is read from the submission's folder in the exchange, which the receipt names.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from nbgrader.utils import notebook_hash

from hpclab.errors import GradingError
from hpclab.files import write_whole
from hpclab.grading.formgrader import Nbgrader
from hpclab.grading.submissions.store import Receipt

SOURCE_PREFIX = "exchange: "  # of a receipt's source
SECRET = re.compile(rb"[0-9a-f]{128}\s*")  # nbgrader: token_hex(64)


def file_name(nbgrader: Nbgrader, receipt: Receipt) -> str | None:
    """Return the name under which the student's nbgrader looks for feedback; None if the exchange was not used."""
    if not receipt.source.startswith(SOURCE_PREFIX):
        return None
    folder = receipt.source.removeprefix(SOURCE_PREFIX)
    if "/" in folder or folder in ("", ".", ".."):
        return None
    secret = _read_secret(nbgrader.exchange / nbgrader.course / "inbound" / folder)
    return None if secret is None else f"{notebook_hash(secret=secret, notebook_id=receipt.lab)}.html"


def _read_secret(folder: Path) -> str | None:
    """Return the secret in a submission: from a regular file with the folder's owner, never through a link."""
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        file = os.open(
            "submission_secret.txt",
            os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            dir_fd=directory,
        )
    except OSError:
        return None
    finally:
        owner = os.fstat(directory).st_uid
        os.close(directory)
    with os.fdopen(file, "rb") as opened:
        status = os.fstat(file)
        text = opened.read(200) if stat.S_ISREG(status.st_mode) and status.st_uid == owner else b""
    return text.decode().strip() if SECRET.fullmatch(text) else None


def hand_out(nbgrader: Nbgrader, name: str, page: bytes) -> Path:
    """Write a page into the exchange under ``name``. Raises GradingError if there is no exchange."""
    if not nbgrader.exchange.is_dir():
        raise GradingError(
            f"there is no exchange at {nbgrader.exchange}",
            "Ask the machine's administrator for one, or set c.Exchange.root in the course's nbgrader_config.py.",
        )
    folder = nbgrader.exchange / nbgrader.course / "feedback"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o711)  # not listable: the names are secrets
    write_whole(folder / name, page)
    (folder / name).chmod(0o644)
    return folder / name
