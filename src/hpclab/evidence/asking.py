"""Slurm itself, asked through one function, and patience where its records lag."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from hpclab import shell, slurm
from hpclab.errors import DeadlineExceeded, HpclabError
from hpclab.evidence.checks import NoAnswer

# What sacct says where a site has no accounting, or keeps it from its users.
_NONE_HERE = re.compile("storage is disabled|permission denied|not permitted", re.IGNORECASE)
SETTLE_SECONDS = 20.0  # accounting lags up to 5 s behind the controller, more on a busy one
T = TypeVar("T")

_kept: dict[str, object] | None = None  # answers, by their question, when nothing changes any more


def all_is_over() -> None:
    """From here on nobody submits or stops anything: what Slurm has said is kept, and not asked again.

    A question takes up to 0.3 s, and the checks of a lab ask the same ones over and over.
    """
    global _kept
    _kept = {}


def is_all_over() -> bool:
    return _kept is not None


def run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's commands; a status other than zero is the caller's business."""
    return shell.run(argv, step="asking Slurm", check=False)


def ask(question: Callable[..., T], *arguments: object, **named: object) -> T:
    """Put a question of ``hpclab.slurm``; raises NoAnswer where Slurm gives none."""
    key = f"{question.__name__} {arguments!r} {named!r}"
    try:
        if _kept is None:
            return question(run, *arguments, **named)
        if key not in _kept:
            _kept[key] = question(run, *arguments, **named)
        return cast(T, copy.copy(_kept[key]))
    except HpclabError as problem:
        raise NoAnswer(
            f"Slurm did not answer, so nothing was checked: {problem.problem}",
            "This says nothing about your work. Try: scontrol ping; then run this check again.",
        ) from None


def ask_accounting(question: Callable[..., T], *arguments: object, **named: object) -> T | None:
    """Like ``ask``; None where this site has no accounting for its users."""
    try:
        return ask(question, *arguments, **named)
    except NoAnswer as problem:
        if _NONE_HERE.search(problem.problem):
            return None
        raise


def settled(probe: Callable[[], tuple[T, bool]], what: str) -> T:
    """The first answer of which ``probe`` says that it is whole; after SETTLE_SECONDS the last one.

    While Slurm does not answer it is asked again; at the end NoAnswer is raised.
    """
    answers: list[T] = []
    trouble: list[NoAnswer] = []

    def whole() -> bool:
        trouble.clear()
        try:
            answer, complete = probe()
        except NoAnswer as problem:
            trouble.append(problem)
            return False
        answers[:] = [answer]
        if not complete and _kept:
            _kept.clear()  # accounting still lags
        return complete

    try:
        slurm.wait_politely(whole, what, seconds=SETTLE_SECONDS, most=2.0)
    except DeadlineExceeded:
        if trouble:
            raise trouble[0] from None
    return answers[0]
