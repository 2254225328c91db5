"""What goes on while labs run side by side: a bar for all, a line for each."""

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


class Board:
    """Progress on a terminal; where there is none, one line for each beginning and end.

    Its methods may be called from any thread.
    """

    def __init__(self, console: Console, what: str, total: int) -> None:
        self._console, self._total = console, total
        self._guard = threading.Lock()
        self._running: dict[str, TaskID] = {}
        self._done = self._failed = 0
        note = "{task.fields[note]}"
        self._bar = Progress(
            TextColumn(what),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn(note),
        )
        self._lines = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn(note)
        )
        self._all = self._bar.add_task(what, total=total, note="")
        self._live = Live(
            Group(self._bar, self._lines), console=console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._live.stop()

    def note(self, label: str, text: str) -> None:
        """What ``label`` is doing now."""
        with self._guard:
            if label in self._running:
                self._lines.update(self._running[label], note=escape(text))
            else:
                self._running[label] = self._lines.add_task(escape(label), total=None, note=escape(text))
                if not self._console.is_terminal:
                    self._console.print(f"{label}: started", markup=False, soft_wrap=True)

    def done(self, label: str, text: str, *, ok: bool) -> None:
        """``label`` is over."""
        with self._guard:
            self._done += 1
            self._failed += not ok
            if label in self._running:
                self._lines.remove_task(self._running.pop(label))
            failed = f"[red]{self._failed} failed" if self._failed else ""
            self._bar.update(self._all, completed=self._done, note=failed)
            sign = "[green]ok[/]    " if ok else "[red]failed[/]"
            count = f"[{self._done}/{self._total}]"
            self._console.print(f"{escape(count)} {sign} {escape(label)}: {escape(text)}", soft_wrap=True)
