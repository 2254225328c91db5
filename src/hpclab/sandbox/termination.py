"""How a program in a sandbox ended: one word, the same in messages, results and verdicts."""

from __future__ import annotations

from enum import StrEnum


class Termination(StrEnum):
    """The values are stored in results: never change one."""

    DONE = "done"
    ERROR = "error"  # a cell raised; the rest ran
    TIMEOUT = "timeout"
    MEMORY = "memory"
    PROCESSES = "processes"
    OUTPUT = "output"  # printed too much
    DISK = "disk"  # filled a folder
    CRASH = "crash"  # its interpreter died
    TAMPER = "tamper"  # contains something that normal work can't produce

    @property
    def is_limit(self) -> bool:
        """Whether the sandbox stopped the program because it exceeded a limit."""
        return self in LIMITS


LIMITS = frozenset(
    {
        Termination.TIMEOUT,
        Termination.MEMORY,
        Termination.PROCESSES,
        Termination.OUTPUT,
        Termination.DISK,
    }
)
