"""How a job's state looks: colours that differ in lightness too, a pattern, and always the word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpclab.plots.picture import INK
from hpclab.slurm import Job


@dataclass(frozen=True)
class Look:
    colour: str
    hatch: str = ""
    edge: str = INK  # of the outline and of the pattern

    def patch(self) -> dict[str, Any]:
        """Arguments of a matplotlib patch."""
        return {"facecolor": self.colour, "hatch": self.hatch, "edgecolor": self.edge, "linewidth": 0.8}


WAITING = Look("#ffffff", "/////", "#8a8a8a")
_LOOKS = {
    "COMPLETED": Look("#3b8f6f"),
    "RUNNING": Look("#a9cfe8"),
    "CANCELLED": Look("#cdbfe0", "...", "#5b4a75"),
}
_STOPPED = Look("#f4b568", "\\\\\\", "#7a4a00")  # Slurm took the node away: not the job's own fault
_BAD = Look("#7d1515", "xxx", "#e3b4b4")
_STOPPED_STATES = ("REQUEUED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "SUSPENDED", "STOPPED")
_BAD_STATES = ("FAILED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE")


def look_of(state: str) -> Look:
    """The look of a bar or box for a job in this state."""
    if state in _STOPPED_STATES:
        return _STOPPED
    return _BAD if state in _BAD_STATES else _LOOKS.get(state, Look("#ffffff"))


def ending(job: Job) -> str:
    """``COMPLETED``, ``FAILED, exit code 3``, ``FAILED, signal 9``."""
    if job.state == "FAILED" and job.exit_code:
        return f"FAILED, exit code {job.exit_code}"
    if job.state == "FAILED" and job.signal:
        return f"FAILED, signal {job.signal}"
    return job.state
