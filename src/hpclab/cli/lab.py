"""hpclab lab: the learner's notebooks in JupyterLab."""

from __future__ import annotations

import os
import select
import signal
import time
import webbrowser
from pathlib import Path
from types import FrameType

import click

from hpclab import layout, shell
from hpclab.app.clusters import DEFAULT_SITE, compose, lab_folder, submit_settings
from hpclab.cli.common import console, ensure_up, name_option
from hpclab.cluster import lifecycle, portal
from hpclab.exercises import build

# JupyterLab's settings for learners, in jupyter/: no pop-up that asks to fetch news, no panels of
# nbgrader that are an instructor's, no pairing of jupytext, which could bring answers back.
SETTINGS = Path(__file__).parent / "jupyter"
JUPYTER = (
    f"JUPYTER_CONFIG_PATH={SETTINGS}",
    "jupyter",
    "lab",
    "--no-browser",
    f"--ServerApp.sock={portal.SOCKET}",
)


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
    if found := portal.known(name):
        click.echo(f"It is running already. Open:\n\n    {found.url}\n")
        return
    chosen = portal.choose_port(port)
    started = time.monotonic()
    spec = compose(name=name, site=DEFAULT_SITE, nodes=4, cpus=4, gpus=4, memory=4000, outbound=True)
    mine = ensure_up(spec)
    try:
        with console.status("preparing the notebooks …"):
            _release_notebooks(name)
        with console.status("starting JupyterLab …"):
            opened = portal.serve(name, ["env", *submit_settings("local"), *JUPYTER], lab_folder(), chosen)
        click.echo(
            f"Ready after {time.monotonic() - started:.1f} s: 4 nodes, and JupyterLab on the login node."
            f" Open:\n\n    {opened.url}\n"
        )
        if open_browser or (
            open_browser is None and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        ):
            # A browser in a terminal keeps us here, so Ctrl-C must stop all from in here, too.
            webbrowser.open(opened.url)
    except BaseException:
        if mine:
            lifecycle.down(name, lambda _: None, force=True)
        raise
    if detach:
        click.echo(f"Stop it: hpclab down --name {name}")
        return
    click.echo(f"Ctrl-C stops {'the cluster' if mine else 'JupyterLab'}; your work stays in {lab_folder()}")
    _until_stopped(name, whole=mine)


RELEASE = """
import sys
from pathlib import Path
from hpclab.exercises import build
lab, templates, *notebooks = map(Path, sys.argv[1:])
files = [(path, Path(path.parent.name) / path.stem) for path in notebooks]
files += [(path, Path("templates") / path.parent.relative_to(templates)) for path in build.list_templates(templates)]
for path, folder in files:
    told = build.deliver(path, lab / folder)
    if told.outcome in ("kept", "updated"):
        print(told.message)
"""


def _release_notebooks(name: str) -> None:
    """Put notebooks and templates into the lab folder, keeping what the learner has changed.

    It is the learner's folder, so the learner's account writes there, on the login node: whoever
    started the cluster may be root, whom links in that folder could lead anywhere.
    """
    course = layout.clone_folder()
    made = [
        build.write_student(path, course / "build/student")
        for path in build.list_sources(course / "notebooks")
    ]
    words = ["python", "-c", RELEASE, str(lab_folder()), str(course / "templates"), *map(str, made)]
    told = shell.run(lifecycle.command(name, "login", "", "/", words), step="preparing the notebooks")
    if said := told.stdout.strip():
        console.print(said, soft_wrap=True)


class _Stop(Exception):
    """A signal asked the lab to stop."""


def _until_stopped(name: str, *, whole: bool) -> None:
    """Wait for Ctrl-C, a signal, or the end of the cluster; then stop the cluster if ``whole``, else JupyterLab."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Stop

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    handle = os.pidfd_open(lifecycle.supervisor_of(name).pid)
    try:
        select.select([handle], [], [])
        click.echo("The cluster was stopped from elsewhere.")
        return
    except _Stop:
        pass
    finally:
        os.close(handle)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it
    click.echo("\nStopping …")
    if not whole:
        portal.close(name)
        click.echo(
            f"JupyterLab is stopped; the cluster, which ran before it, goes on. Stop it: hpclab down --name {name}"
        )
        return
    if active := lifecycle.jobs_in_queue(name):
        click.echo(f"{active} job{'s' if active > 1 else ''} in the queue will be cancelled.")
    lifecycle.down(name, lambda _: None, force=True)
    click.echo("Stopped. `make lab` starts it again, with your jobs' records and your work.")
