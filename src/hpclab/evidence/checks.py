"""How a check fails, and how it says that there is nothing to judge."""

from __future__ import annotations

import warnings

from hpclab.errors import HpclabError


class CheckFailed(AssertionError):
    """A failed check of a task; its text has up to three lines, and notebooks show no traceback.

    ``found`` and ``expected`` are half-sentences without a full stop; ``look`` names a command or a file, or is empty.
    """

    def __init__(self, found: str, expected: str, look: str = "") -> None:
        super().__init__(found, expected, look)
        self.found, self.expected, self.look = str(found), str(expected), str(look)

    def __str__(self) -> str:
        look = f"\nLook: {self.look}" if self.look else ""
        return f"Found: {self.found}.\nExpected: {self.expected}.{look}"

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class NoAnswer(HpclabError):
    """Slurm did not answer: that says nothing about the learner's work, and is never a zero."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Fallback(UserWarning):
    """The usual evidence is missing, and other evidence was used instead."""


def check(holds: object, found: str, expected: str, look: str = "") -> None:
    """Raise CheckFailed with ``found``, ``expected`` and ``look`` unless ``holds``. Never put the answer into them."""
    if not holds:
        raise CheckFailed(found, expected, look)


def fall_back(missing: str, instead: str) -> None:
    """Say that ``instead`` is used because of what is ``missing``."""
    warnings.warn(f"{missing}; {instead}", Fallback, stacklevel=3)
