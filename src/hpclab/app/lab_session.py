"""A learner's session: the cluster, the notebooks in the lab folder, and JupyterLab on the login node."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpclab import layout, shell
from hpclab.app import clusters
from hpclab.cluster import lifecycle, portal
from hpclab.exercises import build
from hpclab.exercises.lab_names import list_sources

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


@dataclass(frozen=True)
class LabSession:
    """JupyterLab on the cluster ``name``, at ``url``. ``started_cluster``: the session started the cluster.

    ``messages`` are for the learner, about notebooks that were kept or replaced.
    """

    name: str
    url: str
    started_cluster: bool
    messages: str = ""


def running_url(name: str) -> str | None:
    """The address of the JupyterLab that runs on the cluster ``name``, if one does."""
    opened = portal.known(name)
    return opened.url if opened else None


def start(name: str, port: int | None, progress: Callable[[str], None]) -> LabSession:
    """Start the cluster if it is not running, hand out the notebooks, start JupyterLab at ``port``.

    Without a port it takes the first free one. On failure a cluster that was started here is
    stopped. Raises HpclabError.
    """
    port = portal.choose_port(port)
    started_cluster = clusters.start(clusters.compose_default(name), progress)
    try:
        progress("preparing the notebooks")
        messages = hand_out_notebooks(name)
        progress("starting JupyterLab")
        argv = ["env", *clusters.submit_settings("local"), *JUPYTER]
        opened = portal.serve(name, argv, clusters.lab_folder(), port)
    except BaseException:
        if started_cluster:
            lifecycle.down(name, lambda _: None, force=True)
        raise
    return LabSession(name, opened.url, started_cluster, messages)


def hand_out_notebooks(name: str) -> str:
    """Put notebooks and templates into the lab folder, except where the learner has changed them.

    The folder is the learner's, so a program with the learner's account writes there, on the login
    node of the cluster ``name``: this process may be root's, and links in that folder could lead
    anywhere. Returns messages for the learner.
    """
    course = layout.clone_folder()
    notebooks = [
        build.write_student(path, course / "build/student") for path in list_sources(course / "notebooks")
    ]
    program = ["python", "-I", "-m", "hpclab.app.hand_out"]
    argv = [*program, str(clusters.lab_folder()), str(course / "templates"), *map(str, notebooks)]
    done = shell.run(lifecycle.command(name, "login", "", "/", argv), step="preparing the notebooks")
    return done.stdout.strip()


def wait(session: LabSession) -> None:
    """Wait until the session's cluster ends."""
    handle = os.pidfd_open(lifecycle.supervisor_of(session.name).pid)
    try:
        select.select([handle], [], [])
    finally:
        os.close(handle)


def queued_jobs(session: LabSession) -> int:
    """How many jobs ``stop`` will cancel."""
    return lifecycle.jobs_in_queue(session.name) if session.started_cluster else 0


def stop(session: LabSession) -> None:
    """Stop the cluster if the session started it, else JupyterLab alone."""
    if session.started_cluster:
        lifecycle.down(session.name, lambda _: None, force=True)
    else:
        portal.close(session.name)
