"""hpclab lab: the learner's notebooks in JupyterLab."""

from __future__ import annotations

import os
import time
import webbrowser

import click

from hpclab.app import lab_session
from hpclab.app.clusters import lab_folder
from hpclab.app.lab_session import LabSession
from hpclab.app.parallel import Cancellation
from hpclab.cli.common import console, name_option, progress_line


@click.command()
@name_option
@click.option(
    "--port",
    type=click.IntRange(1024, 65535),
    help="Port on this machine; by default the first free one from 8888.",
)
@click.option(
    "--open/--no-open",
    "open_browser",
    default=None,
    help="Open a browser. Default: where there is a desktop.",
)
@click.option("--detach", is_flag=True, help="Leave it running and return.")
def lab(name: str, port: int | None, open_browser: bool | None, detach: bool) -> None:
    """Start the cluster, prepare the notebooks, open JupyterLab on the login node.

    Ctrl-C stops what this started. Your notebooks stay in the folder `lab` of the clone.
    """
    if url := lab_session.running_url(name):
        click.echo(f"It is running already. Open:\n\n    {url}\n")
        return
    if open_browser is None:
        open_browser = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    began = time.monotonic()
    with (
        Cancellation()
    ):  # the first Ctrl-C or signal is a KeyboardInterrupt; later ones do not interrupt the stopping
        with progress_line("starting") as progress:
            session = lab_session.start(name, port, progress)
        try:
            if session.messages:
                console.print(session.messages, soft_wrap=True)
            click.echo(
                f"Ready after {time.monotonic() - began:.1f} s: 4 nodes, and JupyterLab on the login node."
                f" Open:\n\n    {session.url}\n"
            )
            if open_browser:
                webbrowser.open(session.url)  # a browser in a terminal returns when it is closed
            if detach:
                click.echo(f"Stop it: hpclab down --name {name}")
                return
            stopped = "the cluster" if session.started_cluster else "JupyterLab"
            click.echo(f"Ctrl-C stops {stopped}; your work stays in {lab_folder()}")
            lab_session.wait(session)
            click.echo("The cluster was stopped by another command.")
        except KeyboardInterrupt:
            stop(session)
        except BaseException:
            lab_session.stop(session)
            raise


def stop(session: LabSession) -> None:
    click.echo("\nStopping …")
    if jobs := lab_session.queued_jobs(session):
        click.echo(f"{jobs} job{'s' if jobs > 1 else ''} in the queue will be cancelled.")
    lab_session.stop(session)
    if session.started_cluster:
        click.echo("Stopped. `make lab` starts it again, with your jobs' records and your work.")
    else:
        click.echo(
            "JupyterLab is stopped. The cluster was running before and still is; stop it with:"
            f" hpclab down --name {session.name}"
        )
