"""The styles of job states: colours that also differ in lightness, and patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpclab.plots.picture import INK
from hpclab.slurm import Job


@dataclass(frozen=True)
class StateStyle:
    """Colours and pattern of a bar or box."""

    colour: str
    hatch: str = ""
    edge: str = INK  # colour of the outline and of the pattern

    def patch(self) -> dict[str, Any]:
        """Return the arguments of a matplotlib patch."""
        return {"facecolor": self.colour, "hatch": self.hatch, "edgecolor": self.edge, "linewidth": 0.8}


WAITING = StateStyle("#ffffff", "/////", "#8a8a8a")
_STYLES = {
    "COMPLETED": StateStyle("#3b8f6f"),
    "RUNNING": StateStyle("#a9cfe8"),
    "CANCELLED": StateStyle("#cdbfe0", "...", "#5b4a75"),
}
_INTERRUPTED_STYLE = StateStyle(
    "#f4b568", "\\\\\\", "#7a4a00"
)  # stopped by Slurm, not by the job's own failure
_FAILED_STYLE = StateStyle("#7d1515", "xxx", "#e3b4b4")
_INTERRUPTED_STATES = ("REQUEUED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "SUSPENDED", "STOPPED")
_FAILED_STATES = ("FAILED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE")


def select_style(state: str) -> StateStyle:
    """Return the style for a job in ``state``."""
    if state in _INTERRUPTED_STATES:
        return _INTERRUPTED_STYLE
    return _FAILED_STYLE if state in _FAILED_STATES else _STYLES.get(state, StateStyle("#ffffff"))


def describe_end(job: Job) -> str:
    """Describe a job's final state: ``COMPLETED``, ``FAILED, exit code 3``, ``FAILED, signal 9``."""
    if job.state == "FAILED" and job.exit_code:
        return f"FAILED, exit code {job.exit_code}"
    if job.state == "FAILED" and job.signal:
        return f"FAILED, signal {job.signal}"
    return job.state
