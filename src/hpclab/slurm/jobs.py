"""Jobs, steps and dependencies as Slurm records them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Final states: a job leaves them only by a requeue, which makes a new record.
FINAL_STATES = frozenset(
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


@dataclass(frozen=True)
class Job:
    """One attempt of a job, from sacct or squeue; unknown values are None or empty.

    Times are seconds since the epoch, durations are seconds. ``requested`` and ``allocated`` hold
    trackable resources by Slurm's names: ``cpu``, ``mem`` (bytes), ``node``, ``gres/gpu``, ``billing``.
    """

    id: str  # as in squeue: "12", "12_3", "12_[4-7]"
    raw_id: str  # JobIDRaw: a number, different for each task of an array
    name: str
    state: str  # e.g. "COMPLETED"
    state_text: str = ""  # as Slurm prints it, e.g. "CANCELLED by 1000"
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    user: str = ""
    account: str = ""
    qos: str = ""
    partition: str = ""
    nodes: str = ""
    node_count: int | None = None
    cpus: int | None = None
    submit: float | None = None
    start: float | None = None
    end: float | None = None
    elapsed: int | None = None
    time_limit: int | None = None
    folder: str = ""
    submit_line: str = ""
    comment: str = ""
    priority: int | None = None
    total_cpu: float | None = None  # seconds of all steps, user and system
    requested: Mapping[str, float] = field(default_factory=dict, hash=False)
    allocated: Mapping[str, float] = field(default_factory=dict, hash=False)
    cancelled_by: int | None = None
    restarts: int = 0
    complete: bool = True  # False while a part of the accounting record is still missing

    @property
    def ended(self) -> bool:
        """Whether the job is in a final state."""
        return self.state in FINAL_STATES

    @property
    def array_id(self) -> str:
        """The id of the job's array; the job's own id if it has no array."""
        return self.id.partition("_")[0]

    @property
    def array_index(self) -> int | None:
        """The task's index in its array; None for other jobs and for "12_[4-7]"."""
        match = re.fullmatch(r"\d+_(\d+)", self.id)
        return int(match[1]) if match else None

    @property
    def waited(self) -> float | None:
        """Seconds from submission to start; None if the job never started."""
        return None if self.start is None or self.submit is None else self.start - self.submit


@dataclass(frozen=True)
class Step:
    """One step of a job, from sacct: the batch script or one ``srun``.

    Unknown values are None or empty; a very short step may have no ``max_rss``.
    """

    id: str  # "12.batch", "12.0", "12_3.0"
    name: str
    state: str
    state_text: str = ""
    exit_code: int | None = None
    signal: int | None = None  # 125 with OUT_OF_MEMORY
    tasks: int | None = None
    nodes: str = ""
    node_count: int | None = None
    start: float | None = None
    end: float | None = None
    elapsed: int | None = None
    max_rss: int | None = None  # bytes, of the largest task
    total_rss: int | None = None  # bytes, of all tasks together
    total_cpu: float | None = None  # seconds, user and system
    allocated: Mapping[str, float] = field(default_factory=dict, hash=False)
    submit_line: str = ""  # "srun hostname"

    @property
    def ended(self) -> bool:
        """Whether the step is in a final state."""
        return self.state in FINAL_STATES


@dataclass(frozen=True)
class Usage:
    """The resources that a job was allocated and used; None where unknown."""

    label: str
    cpus: float | None = None  # allocated
    cpus_used: float | None = None  # busy, on average over the run time
    memory: float | None = None  # bytes, on all nodes
    memory_used: float | None = None  # bytes, of the largest step
    time_limit: float | None = None  # seconds
    elapsed: float | None = None  # seconds


@dataclass(frozen=True)
class Dependency:
    """One condition of a ``--dependency``: ``kind`` as in sbatch, and the ids of the jobs.

    ``any_of``: the conditions are joined by "?", so one of them is enough.
    """

    kind: str
    ids: tuple[str, ...] = ()
    text: str = ""  # as written, e.g. "after:12+5"
    any_of: bool = False
