"""The function ``check``, its exceptions, and the warning for missing evidence."""

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
    """Slurm did not answer. The learner's work was not checked, and no mark may follow from this."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Fallback(UserWarning):
    """A warning: the usual evidence is missing and other evidence was used."""


def check(holds: object, found: str, expected: str, look: str = "") -> None:
    """Raise CheckFailed unless ``holds`` is true. Never put the answer into ``expected``."""
    if not holds:
        raise CheckFailed(found, expected, look)


def warn_fallback(missing: str, instead: str) -> None:
    """Warn that ``instead`` is used because ``missing`` is not available."""
    warnings.warn(f"{missing}; {instead}", Fallback, stacklevel=3)
