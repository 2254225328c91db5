"""Where a headless lab runs: a cluster of its own, a named cluster, or a real site.

A target is entered for one lab and gives a function that runs commands on a login node there.
Leaving it takes down whatever it started, also when a signal ends the program.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hpclab import layout, locks, shell
from hpclab.app.clusters import compose_default, prepare_host, start, submit_settings
from hpclab.app.parallel import do_nothing
from hpclab.cluster import lifecycle
from hpclab.cluster.spec import Spec
from hpclab.errors import DeadlineExceeded, HpclabError
from hpclab.slurm import Runner

Progress = Callable[[str], None]
Target = Callable[[Progress], AbstractContextManager[Runner]]

PRIVATE = re.compile(r"run-(\d+)-\d+")
COMMAND_DEADLINE_S = 300.0  # of one command on a login node


@dataclass(frozen=True)
class OpenTarget:
    """A target that is ready for labs. ``close`` takes down what it started, while labs still run."""

    enter: Target
    close: Callable[[], None] = do_nothing


@contextmanager
def open_target(
    site: str, cluster: str, environment: Sequence[str], progress: Progress
) -> Iterator[OpenTarget]:
    """Where labs run: the site, the embedded cluster ``cluster``, or clusters of their own where it is empty."""
    if site != "local":
        yield OpenTarget(at_site(environment))
    elif cluster:
        with named_cluster(cluster, environment, progress) as target:
            yield OpenTarget(target)
    else:
        with PrivateClusters(environment, progress=progress) as private:
            yield OpenTarget(private.start, private.close)


def at_site(environment: Sequence[str]) -> Target:
    """This machine as a login node of a real cluster, with the course's programs on PATH."""
    path = f"PATH={Path(sys.prefix) / 'bin'}:{os.environ.get('PATH', os.defpath)}"

    @contextmanager
    def enter(_progress: Progress) -> Iterator[Runner]:
        yield _make_launcher(lambda argv: ["env", path, *environment, *argv])

    return enter


def on_cluster(name: str, environment: Sequence[str]) -> Target:
    """The login node of the running embedded cluster ``name``."""

    @contextmanager
    def enter(_progress: Progress) -> Iterator[Runner]:
        yield _make_launcher(
            lambda argv: lifecycle.command(name, "login", "", "/", ["env", *environment, *argv])
        )

    return enter


def _make_launcher(command: Callable[[Sequence[str]], list[str]]) -> Runner:
    def launch(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        # A session of its own: Ctrl-C is for this program, which cancels jobs and stops clusters
        # in an orderly way, and not for the command that it waits for.
        return shell.run(["setsid", "--wait", *command(argv)], check=False, timeout=COMMAND_DEADLINE_S)

    return launch


@contextmanager
def named_cluster(name: str, environment: Sequence[str], progress: Progress) -> Iterator[Target]:
    """The embedded cluster ``name``, started if it is not running, and then stopped again."""
    started_here = lifecycle.running(name) is None and start(compose_default(name), progress)
    try:
        yield on_cluster(name, environment)
    finally:
        if started_here:
            lifecycle.down(name, lambda _: None, force=True)


class PrivateClusters:
    """Clusters that live for one lab each. Leaving the context takes down those that are left."""

    def __init__(
        self,
        environment: Sequence[str] = (),
        writable: Sequence[Path] = (),
        compose_spec: Callable[[str], Spec] = compose_default,
        progress: Progress = lambda _: None,
    ) -> None:
        self._environment = environment or submit_settings("local")
        self._writable = tuple(writable)
        self._compose_spec = compose_spec
        self._progress = progress
        self._guard = threading.Lock()
        self._names: set[str] = set()
        self._count = 0
        self._closed = False
        self._stack = ExitStack()

    def __enter__(self) -> PrivateClusters:
        # A headless lab may not write to a learner's folder.
        self._place = msgspec.structs.replace(prepare_host(self._progress), writable=self._writable)
        clusters = layout.state_home() / "clusters"
        clusters.mkdir(parents=True, exist_ok=True)
        remove_abandoned()
        owner = _owner_file(os.getpid())
        self._stack.callback(owner.unlink, missing_ok=True)
        self._stack.enter_context(locks.held(owner, "a run that is being cleaned up", seconds=60))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._stack.close()

    def close(self) -> None:
        """Take down every cluster and start no more."""
        with self._guard:
            self._closed = True
            names = sorted(self._names)
        with ExitStack() as stack:  # a failure with one cluster must not keep the others
            for name in names:
                stack.callback(_remove, name)

    @contextmanager
    def start(self, progress: Progress) -> Iterator[Runner]:
        """A new cluster, removed without a trace afterwards. This is a Target."""
        with self._guard:
            if self._closed:
                raise HpclabError("no cluster is started while the run is being stopped")
            self._count += 1
            name = f"run-{os.getpid()}-{self._count}"
            self._names.add(name)
        try:
            lifecycle.up(self._compose_spec(name), self._place, progress, seconds=180)
            with on_cluster(name, self._environment)(progress) as launch:
                yield launch
            progress("stopping its cluster")
        finally:
            _remove(name)
            with self._guard:
                self._names.discard(name)


def remove_abandoned() -> None:
    """Take down private clusters whose run was killed. A run that is alive holds its owner's lock."""
    owners = {int(match[1]) for name in lifecycle.names() if (match := PRIVATE.fullmatch(name))}
    for owner in owners - {os.getpid()}:
        path = _owner_file(owner)
        with suppress(DeadlineExceeded), locks.held(path, "a run that is alive", seconds=0):
            for name in lifecycle.names():
                if name.startswith(f"run-{owner}-"):
                    _remove(name)
            path.unlink(missing_ok=True)


def _owner_file(pid: int) -> Path:
    return layout.state_home() / "clusters" / f".run-{pid}.owner"


def _remove(name: str) -> None:
    lifecycle.down(name, lambda _: None, force=True, purge=True)
    (layout.state_home() / "clusters" / f".{name}.lock").unlink(missing_ok=True)
