"""hpclab lab: the learner's notebooks in JupyterLab. hpclab run: a notebook with nobody at the keyboard."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click
from rich.table import Table

from hpclab import headless, layout, shell, sites
from hpclab.cli.common import (
    DEFAULT_SITE,
    compose,
    console,
    ensure_up,
    lab_folder,
    load_site,
    name_option,
    site_names,
)
from hpclab.cluster import lifecycle, portal
from hpclab.errors import HpclabError, NotebookFailed, UsageError
from hpclab.exercises import build
from hpclab.slurm import Job

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
            opened = portal.serve(name, ["env", *_settings("local"), *JUPYTER], lab_folder(), chosen)
    except BaseException:
        if mine:
            lifecycle.down(name, lambda _: None, force=True)
        raise
    click.echo(
        f"Ready after {time.monotonic() - started:.1f} s: 4 nodes, and JupyterLab on the login node. Open:\n\n    {opened.url}\n"
    )
    if open_browser or (
        open_browser is None and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    ):
        webbrowser.open(opened.url)
    if detach:
        click.echo(f"Stop it: hpclab down --name {name}")
        return
    click.echo(f"Ctrl-C stops {'the cluster' if mine else 'JupyterLab'}; your work stays in {lab_folder()}")
    _until_stopped(name, whole=mine)


def _settings(site: str) -> list[str]:
    """The site's answers to Slurm's questions, as NAME=value."""
    return [
        f"{key}={value}" for key, value in sites.environment(load_site(site), os.environ, gpu=True).items()
    ]


RELEASE = """
import sys
from pathlib import Path
from hpclab.exercises import build
for notebook in sorted(Path(sys.argv[1]).glob("*/*.ipynb")):
    told = build.release(notebook, Path(sys.argv[2]) / notebook.parent.name)
    if told.outcome in ("kept", "updated"):
        print(told.message)
"""


def _release_notebooks(name: str) -> None:
    """Put the learner's notebooks into the lab folder, keeping what the learner has changed.

    It is the learner's folder, so the learner's account writes there, on the login node: whoever
    started the cluster may be root, whom links in that folder could lead anywhere.
    """
    made = layout.course() / "build" / "student"
    for source in build.sources(layout.course() / "notebooks"):
        build.student(source, made)
    words = ["python", "-c", RELEASE, str(made), str(lab_folder())]
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


def _parameter(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, object]:
    parsed: dict[str, object] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key.isidentifier():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        parsed[key] = int(text) if text.lstrip("-").isdigit() else text
    return parsed


def _find(which: str) -> Path:
    """The exercise a person means: a path, `01-slurm-basics/ex01-submit-monitor`, or the start of its name."""
    known = build.sources(layout.course() / "notebooks")
    if Path(which).is_file():
        return Path(which).resolve()
    fitting = [
        path
        for path in known
        if path.stem.startswith(which) or f"{path.parent.name}/{path.stem}".startswith(which)
    ]
    if len(fitting) == 1:
        return fitting[0]
    names = "\n    ".join(f"{path.parent.name}/{path.stem}" for path in (fitting or known))
    raise UsageError(
        f"{which!r} names {'several exercises' if fitting else 'no exercise'}", f"Valid:\n    {names}"
    )


def complete_exercise(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    names = [f"{path.parent.name}/{path.stem}" for path in build.sources(layout.course() / "notebooks")]
    return [name for name in names if name.startswith(incomplete)]


@click.command("run")
@click.argument("notebook", nargs=-1, required=True, shell_complete=complete_exercise)
@name_option
@click.option(
    "--site",
    default="local",
    show_default=True,
    type=click.Choice(site_names()),
    help="Where: `local` is the embedded cluster, started if need be.",
)
@click.option(
    "--param",
    "parameters",
    multiple=True,
    callback=_parameter,
    metavar="NAME=VALUE",
    help="A papermill parameter of the notebook.",
)
@click.option("--minutes", default=15, show_default=True, help="Time limit of the notebook's job.")
def run_notebook(
    notebook: Sequence[str], name: str, site: str, parameters: dict[str, object], minutes: int
) -> None:
    """Run the reference version of NOTEBOOK headless, as a Slurm job with papermill on a node."""
    sources = [_find(which) for which in notebook]
    imitated, mine = load_site(site), False
    if site == "local":
        spec = compose(name=name, site=DEFAULT_SITE, nodes=4, cpus=4, gpus=4, memory=4000, outbound=True)
        mine = lifecycle.running(name) is None and ensure_up(spec)
        imitated = lifecycle.spec_of(name).site
    qos = imitated.submit.notebook_qos
    options = [f"--qos={qos}"] if qos else []
    try:
        failures = [
            source for source in sources if not _run_one(source, name, site, options, parameters, minutes)
        ]
    finally:
        if mine:
            lifecycle.down(name, lambda _: None, force=True)
    if failures:
        raise NotebookFailed(
            f"{len(failures)} of {len(sources)} notebooks did not pass", "Their errors stand above."
        )


def _run_one(
    source: Path, name: str, site: str, options: Sequence[str], parameters: dict[str, object], minutes: int
) -> bool:
    label = f"{source.parent.name}/{source.stem}"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    out = layout.course() / "build" / "runs" / source.parent.name / source.stem
    reference = build.reference(source, layout.course() / "build" / "reference")

    def launch(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        words = ["env", *_settings(site), *argv]
        if site == "local":
            words = lifecycle.command(name, "login", "", "/", words)
        return shell.run(words, check=False, timeout=300)

    scratch = launch(["sh", "-c", "echo ${SCRATCH:-$HOME}"]).stdout.strip()
    try:
        with console.status(f"{label}: submitted …") as line:

            def report(job: Job) -> None:
                line.update(f"{label}: job {job.id} {job.state.lower()} …")

            result = headless.run(
                reference,
                f"{scratch}/runs/{source.stem}-{stamp}",
                out,
                launch=launch,
                parameters=parameters,
                minutes=minutes,
                options=options,
                report=report,
            )
        table = Table(show_edge=False)
        for heading in ("lab", "state", "job", "node", "seconds", "points"):
            table.add_column(heading, overflow="fold")
        table.add_row(
            label,
            result.state,
            result.job,
            result.node,
            str(result.elapsed_seconds),
            f"{result.earned:g}/{result.points:g}",
        )
        console.print(table)
        headless.require(result, out)
        click.echo(f"{label}: {out / headless.EXECUTED}")
        return True
    except HpclabError as problem:
        click.secho(f"{label}: {problem.problem}", fg="red", err=True)
        click.echo(problem.remedy, err=True)
        return False
