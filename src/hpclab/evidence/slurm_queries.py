"""Queries to Slurm with an optional cache, and waits for records that accounting has not written yet."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from hpclab import shell, slurm
from hpclab.errors import DeadlineExceeded, HpclabError
from hpclab.evidence.checks import NoAnswer

# sacct's messages where a site has no accounting, or hides it from its users.
_NO_ACCOUNTING = re.compile("storage is disabled|permission denied|not permitted", re.IGNORECASE)
ACCOUNTING_WAIT_S = 20.0  # accounting is up to 5 s behind the controller, more on a busy cluster
T = TypeVar("T")

_cache: dict[str, object] | None = None  # answers by query; None: nothing is cached


def cache_answers() -> None:
    """Cache Slurm's answers from now on. Call it when no job is submitted or cancelled any more.

    A query takes up to 0.3 s, and the checks of a lab repeat the same ones many times.
    """
    global _cache
    _cache = {}


def is_caching() -> bool:
    return _cache is not None


def run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a Slurm command; the caller checks the exit status."""
    return shell.run(argv, step="querying Slurm", check=False)


def query(function: Callable[..., T], *arguments: object, **named: object) -> T:
    """Call one of the query functions of ``hpclab.slurm``. Raises NoAnswer if Slurm does not answer."""
    key = f"{function.__name__} {arguments!r} {named!r}"
    try:
        if _cache is None:
            return function(run, *arguments, **named)
        if key not in _cache:
            _cache[key] = function(run, *arguments, **named)
        return cast(T, copy.copy(_cache[key]))
    except HpclabError as problem:
        raise NoAnswer(
            f"Slurm did not answer, so nothing was checked: {problem.problem}",
            "Your work was not judged. Run `scontrol ping` to see whether Slurm is up, then run this check again.",
        ) from None


def query_accounting(function: Callable[..., T], *arguments: object, **named: object) -> T | None:
    """Like ``query``; returns None where the site has no accounting that its users may read."""
    try:
        return query(function, *arguments, **named)
    except NoAnswer as problem:
        if _NO_ACCOUNTING.search(problem.problem):
            return None
        raise


def wait_until_complete(probe: Callable[[], tuple[T, bool]], what: str) -> T:
    """Call ``probe`` until it returns (answer, True), and return that answer; after ACCOUNTING_WAIT_S the last one.

    Queries that Slurm does not answer are repeated as well. Raises NoAnswer if the last one had no answer.
    """
    answers: list[T] = []
    failures: list[NoAnswer] = []

    def is_complete() -> bool:
        failures.clear()
        try:
            answer, complete = probe()
        except NoAnswer as problem:
            failures.append(problem)
            return False
        answers[:] = [answer]
        if not complete and _cache:
            _cache.clear()  # accounting is still behind
        return complete

    try:
        slurm.wait_with_backoff(is_complete, what, seconds=ACCOUNTING_WAIT_S, max_pause_s=2.0)
    except DeadlineExceeded:
        if failures:
            raise failures[0] from None
    return answers[0]
