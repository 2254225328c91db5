"""The progress of labs that run in parallel: a bar for all, a line for each."""

from __future__ import annotations

import threading
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class ProgressBoard:
    """Progress on a terminal; elsewhere one line for each step of the preparation, each start and each end.

    Its methods may be called from any thread.
    """

    def __init__(self, console: Console, noun: str, total: int) -> None:
        self._console, self._total = console, total
        self._guard = threading.Lock()
        self._running: dict[str, TaskID] = {}
        self._done = self._failed = 0
        note = "{task.fields[note]}"
        self._bar = Progress(
            TextColumn(noun),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn(note),
        )
        self._lines = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn(note)
        )
        self._all = self._bar.add_task(noun, total=total, note="")
        self._live = Live(
            Group(self._bar, self._lines), console=console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> ProgressBoard:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def prepare(self, text: str) -> None:
        """Show a step that comes before the first of them starts."""
        with self._guard:
            self._bar.update(self._all, note=f"{escape(text)} …")
            if not self._console.is_terminal:
                self._console.print(text, markup=False, soft_wrap=True)

    def note(self, label: str, text: str) -> None:
        """Show what ``label`` is doing now; the first note starts its line."""
        with self._guard:
            if label in self._running:
                self._lines.update(self._running[label], note=escape(text))
                return
            self._running[label] = self._lines.add_task(escape(label), total=None, note=escape(text))
            self._bar.update(self._all, note=self._count_failed())
            if not self._console.is_terminal:
                self._console.print(f"{label}: started", markup=False, soft_wrap=True)

    def finish(self, label: str, text: str, *, ok: bool) -> None:
        """Remove the line of ``label`` and print its outcome."""
        with self._guard:
            self._done += 1
            self._failed += not ok
            if label in self._running:
                self._lines.remove_task(self._running.pop(label))
            self._bar.update(self._all, completed=self._done, note=self._count_failed())
            sign = "[green]ok[/]    " if ok else "[red]failed[/]"
            count = f"[{self._done}/{self._total}]"
            self._console.print(f"{escape(count)} {sign} {escape(label)}: {escape(text)}", soft_wrap=True)

    def _count_failed(self) -> str:
        return f"[red]{self._failed} failed" if self._failed else ""
