"""The progress of a grading run: how many are done, with which verdicts, and how long it may take."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from hpclab.grading.model import Result, Verdict

COLOURS = {Verdict.PASS: "green", Verdict.SYSTEM_ERROR: "red", Verdict.TAMPER: "red"}


class Progress:
    """A line that is always up to date on a terminal; elsewhere a line for each result."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._counts: Counter[Verdict] = Counter()
        self._began = time.monotonic()
        self._first: float | None = None
        self._shown = ""
        self._status = Status("", console=console)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._status.start()
        self._update()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._status.stop()

    def say(self, text: str) -> None:
        """What goes on."""
        if text != self._shown and not self._console.is_terminal and "task" not in text:
            self._console.print(text, markup=False, soft_wrap=True)
        self._shown = text
        self._update()

    def result(self, result: Result) -> None:
        """A submission is graded."""
        self._counts[result.verdict] += 1
        self._first = self._first or time.monotonic()
        colour = COLOURS.get(result.verdict, "yellow")
        count = escape(f"[{self._counts.total()}/{self._total}]")
        marks = f" {result.earned:g} of {result.points:g}" if result.marks else ""
        why = f": {escape(result.problem.splitlines()[0])}" if result.problem else ""
        self._console.print(
            f"{count} [{colour}]{result.verdict}[/]{marks} {escape(result.task.student)}{why}", soft_wrap=True
        )
        self._update()

    def _update(self) -> None:
        self._status.update(escape(f"{self.line()} {self._shown}"))

    def line(self) -> str:
        """How far it is."""
        done = self._counts.total()
        counts = ", ".join(
            f"{self._counts[verdict]} {verdict}" for verdict in Verdict if self._counts[verdict]
        )
        left = remaining(done, self._total, time.monotonic() - self._began) if done < self._total else ""
        return f"{done} of {self._total} graded{f' ({counts})' if counts else ''}{left}."


def remaining(done: int, total: int, seconds: float) -> str:
    """About how long the rest takes, from how long the first ones took; '' while nobody can tell."""
    if done < 2:
        return ""
    left = seconds / done * (total - done)
    return f", about {left / 60:.0f} min left" if left > 90 else f", about {left:.0f} s left"
