"""What several commands share: options, completion, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

from hpclab.app.clusters import DEFAULT_NAME, place
from hpclab.cluster import lifecycle
from hpclab.cluster.spec import Spec

console = Console(stderr=True, highlight=False)


def complete_cluster(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in lifecycle.names() if name.startswith(incomplete)]


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


def ensure_up(spec: Spec, *, retain: bool = False, seconds: float = 60) -> bool:
    """Bring the cluster up with progress shown; true when it was started now."""
    with progress_line("starting") as progress:
        return lifecycle.up(spec, place(progress), progress, retain=retain, seconds=seconds)


@contextmanager
def progress_line(first: str) -> Iterator[Callable[[str], None]]:
    """A spinner with the step at hand; in a log file, one line a step."""
    with console.status(f"{first} …") as line:

        def progress(text: str) -> None:
            line.update(f"{text} …")
            if not console.is_terminal:
                console.print(text)

        yield progress
