"""Options, completion and progress that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

from hpclab.app.clusters import DEFAULT_NAME
from hpclab.app.labs import labs_of_clone
from hpclab.cluster import lifecycle
from hpclab.exercises.lab_names import complete_lab_names

console = Console(stderr=True, highlight=False)


def complete_cluster(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in lifecycle.names() if name.startswith(incomplete)]


def complete_lab(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Labs of the clone."""
    return complete_lab_names(incomplete, [*labs_of_clone()])


def name_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--name``: which cluster."""
    return click.option(
        "--name",
        default=DEFAULT_NAME,
        envvar="HPCLAB_CLUSTER",
        show_default=True,
        shell_complete=complete_cluster,
        help="Which cluster; several run side by side.",
    )(function)


def table_width() -> int | None:
    """Columns for a table: the terminal's, or in a file enough for every name."""
    return None if Console().is_terminal else 140


@contextmanager
def progress_line(first: str) -> Iterator[Callable[[str], None]]:
    """A spinner with the current step; in a log file, one line for each step."""
    with console.status(f"{first} …") as line:

        def progress(text: str) -> None:
            line.update(f"{text} …")
            if not console.is_terminal:
                console.print(text)

        yield progress
