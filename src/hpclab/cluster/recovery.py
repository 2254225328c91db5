"""Find accepted jobs that a killed controller lost.

The controller answers ``Submitted batch job 7`` before it has saved job 7: it saves its state every five seconds,
and a ``kill -9`` in between loses newer jobs. Its log is written at once, so the log is compared with what the
controller and the accounting database know after the restart (``files/find-lost-jobs``, run each time the
controller starts).
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class LostJob(msgspec.Struct, frozen=True):
    """A job that was accepted and then lost."""

    job_id: int
    accepted: str  # the controller's time, ISO 8601


def lost(folder: Path) -> tuple[LostJob, ...]:
    """Return the lost jobs found at every restart of the controller of the cluster in ``folder``."""
    try:
        lines = (folder / "log/lost-jobs.txt").read_text().splitlines()
    except OSError:
        return ()
    rows = [line.split() for line in lines]
    return tuple(LostJob(int(row[0]), row[1]) for row in rows if len(row) == 2 and row[0].isdigit())
