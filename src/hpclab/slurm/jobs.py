"""Jobs and nodes as Slurm records them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# The states that a job never leaves by itself (a requeue makes a new record).
FINAL = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)

# The letter or sign that sinfo puts after a node's state, from its manual page.
NODE_SUFFIXES: Mapping[str, str] = {
    "*": "not responding",
    "~": "powered off",
    "#": "powering up or being configured",
    "!": "about to power down",
    "%": "powering down",
    "$": "reserved for maintenance",
    "@": "about to reboot",
    "^": "rebooting",
    "-": "kept for a planned job",
}


@dataclass(frozen=True)
class Job:
    """One job, from accounting or from the queue; what is not known is None or empty.

    Times are seconds since the epoch, durations seconds.
    """

    id: str  # as people write it: "12", "12_3", "12_[4-7]"
    raw_id: str  # Slurm's own number, different for each task of an array
    name: str
    state: str  # one word, e.g. COMPLETED
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    user: str = ""
    account: str = ""
    qos: str = ""
    partition: str = ""
    nodes: str = ""
    cpus: int | None = None
    submit: float | None = None
    start: float | None = None
    end: float | None = None
    elapsed: int | None = None
    time_limit: int | None = None
    folder: str = ""
    submit_line: str = ""
    cancelled_by: int | None = None
    restarts: int = 0

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self.state in FINAL

    @property
    def array_id(self) -> str:
        """The ID that all tasks of its array share; the own ID for other jobs."""
        return self.id.partition("_")[0]

    @property
    def waited(self) -> float | None:
        """Seconds from submission to start; None for a job that never started."""
        return None if self.start is None or self.submit is None else self.start - self.submit


@dataclass(frozen=True)
class Node:
    """One node, from ``sinfo``: its state as a word, and what the suffix says."""

    name: str
    state: str
    note: str
    cpus: int
    memory_mb: int
    gres: str
    reason: str
