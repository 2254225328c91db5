"""Feedback through nbgrader's exchange: one file a submission, under a name that only its owner can know.

Whoever submits with nbgrader leaves a secret in the submission, and `nbgrader fetch_feedback` looks for the file
whose name is made of it. The secret is read where it was left, in the folder that the receipt names.
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

FROM = "exchange: "  # how a receipt's source begins
SECRET = re.compile(rb"[0-9a-f]{128}\s*")  # nbgrader: token_hex(64)


def file_name(nbgrader: Nbgrader, receipt: Receipt) -> str | None:
    """Under which name the submitter looks for feedback; None where it did not come through the exchange."""
    if not receipt.source.startswith(FROM):
        return None
    folder = receipt.source.removeprefix(FROM)
    if "/" in folder or folder in ("", ".", ".."):
        return None
    secret = _secret(nbgrader.exchange / nbgrader.course / "inbound" / folder)
    return None if secret is None else f"{notebook_hash(secret=secret, notebook_id=receipt.lab)}.html"


def _secret(folder: Path) -> str | None:
    """The secret in a submission: a regular file of whoever owns the folder, never what a link leads to."""
    try:
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        file = os.open(
            "submission_secret.txt", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=top
        )
    except OSError:
        return None
    finally:
        owner = os.fstat(top).st_uid
        os.close(top)
    with os.fdopen(file, "rb") as opened:
        status = os.fstat(file)
        text = opened.read(200) if stat.S_ISREG(status.st_mode) and status.st_uid == owner else b""
    return text.decode().strip() if SECRET.fullmatch(text) else None


def put(nbgrader: Nbgrader, name: str, page: bytes) -> Path:
    """Lay a page where its owner finds it. Raises GradingError where the exchange is not there."""
    if not nbgrader.exchange.is_dir():
        raise GradingError(
            f"there is no exchange at {nbgrader.exchange}",
            "Ask whoever runs the machine for it, or set c.Exchange.root in the class's nbgrader_config.py.",
        )
    folder = nbgrader.exchange / nbgrader.course / "feedback"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o711)  # nobody may list it: the names are the secrets
    write_whole(folder / name, page)
    (folder / name).chmod(0o644)
    return folder / name
