"""How a check fails, and how it says that there is nothing to judge."""

from __future__ import annotations

import warnings

from hpclab.errors import HpclabError


class CheckFailed(AssertionError):
    """A check of a task failed. Notebooks show its text alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class NoAnswer(HpclabError):
    """Slurm did not answer: that says nothing about the learner's work, and is never a zero."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Fallback(UserWarning):
    """The usual evidence is missing, and other evidence was used instead."""


def check(holds: object, found: str, expected: str, look: str = "") -> None:
    """Raise CheckFailed unless ``holds``; the text never tells the answer.

    ``found`` and ``expected`` are half-sentences, ``look`` names a command or file.
    """
    if not holds:
        hint = f"\nLook: {look}" if look else ""
        raise CheckFailed(f"Found: {found}.\nExpected: {expected}.{hint}")


def fall_back(missing: str, instead: str) -> None:
    """Say that ``instead`` is used because of what is ``missing``."""
    warnings.warn(f"{missing}; {instead}", Fallback, stacklevel=3)
