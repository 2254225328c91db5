"""Jobs and their steps as Slurm records them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Job:
    """One job, from accounting or from the queue; what is not known is None or empty.

    Times are seconds since the epoch, durations seconds. ``requested`` and ``allocated`` count
    what Slurm tracks by its own names: ``cpu``, ``mem`` (bytes), ``node``, ``gres/gpu``, ``billing``.
    """

    id: str  # as people write it: "12", "12_3", "12_[4-7]"
    raw_id: str  # Slurm's own number, different for each task of an array
    name: str
    state: str  # one word, e.g. COMPLETED
    state_said: str = ""  # the whole of it, e.g. "CANCELLED by 1000"
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
    total_cpu: float | None = None  # of all its steps, user and system
    requested: Mapping[str, float] = field(default_factory=dict, hash=False)
    allocated: Mapping[str, float] = field(default_factory=dict, hash=False)
    cancelled_by: int | None = None
    restarts: int = 0
    whole: bool = True  # False while accounting still misses a part of it

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self.state in FINAL

    @property
    def array_id(self) -> str:
        """The ID that all tasks of its array share; the own ID for other jobs."""
        return self.id.partition("_")[0]

    @property
    def array_index(self) -> int | None:
        """The task's index in its array; None for other jobs and for "12_[4-7]"."""
        found = re.fullmatch(r"\d+_(\d+)", self.id)
        return int(found[1]) if found else None

    @property
    def waited(self) -> float | None:
        """Seconds from submission to start; None for a job that never started."""
        return None if self.start is None or self.submit is None else self.start - self.submit


@dataclass(frozen=True)
class Step:
    """One step of a job, from accounting: the batch script itself, or one ``srun``.

    What is not known is None or empty: a step that ended at once may have no ``max_rss``.
    """

    id: str  # "12.batch", "12.0", "12_3.0"
    name: str
    state: str
    state_said: str = ""
    exit_code: int | None = None
    signal: int | None = None  # 125 with OUT_OF_MEMORY
    tasks: int | None = None
    nodes: str = ""
    node_count: int | None = None
    start: float | None = None
    end: float | None = None
    elapsed: int | None = None
    max_rss: int | None = None  # bytes, of the task that used most
    total_rss: int | None = None  # bytes, of all tasks together
    total_cpu: float | None = None  # seconds, user and system
    allocated: Mapping[str, float] = field(default_factory=dict, hash=False)
    submit_line: str = ""  # "srun hostname"

    @property
    def ended(self) -> bool:
        """Whether the step is over."""
        return self.state in FINAL


@dataclass(frozen=True)
class Usage:
    """What a job was given and what it made of it; None where it is not known."""

    label: str
    cpus: float | None = None  # as many as it had
    cpus_used: float | None = None  # as many as were busy, on average over its time
    memory: float | None = None  # bytes, on all its nodes
    memory_used: float | None = None  # bytes, of the step that used most
    time_limit: float | None = None  # seconds
    elapsed: float | None = None  # seconds


@dataclass(frozen=True)
class Dependency:
    """One condition of a ``--dependency``: ``kind`` as sbatch spells it, and the jobs it names.

    ``any_of``: it came with "?", so that one of the conditions is enough.
    """

    kind: str
    ids: tuple[str, ...] = ()
    said: str = ""  # as it was written, e.g. "after:12+5"
    any_of: bool = False
