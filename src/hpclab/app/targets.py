"""Where a headless lab runs: a cluster of its own, a named cluster, or a real site.

A place is entered for one lab and gives what starts commands on a login node there. Whatever
it started it takes down again, also when a signal ends the program.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from hpclab import layout, locks, shell
from hpclab.app.clusters import DEFAULT_SITE, compose, place, submit_settings
from hpclab.cluster import lifecycle
from hpclab.cluster.spec import Spec
from hpclab.errors import DeadlineExceeded, HpclabError
from hpclab.slurm import Runner

Progress = Callable[[str], None]
Place = Callable[[Progress], AbstractContextManager[Runner]]

PRIVATE = re.compile(r"run-(\d+)-\d+")
ASK = 300.0  # seconds that one command on a login node may take


def spec_of_default(name: str) -> Spec:
    """The cluster that labs are made for."""
    return compose(name=name, site=DEFAULT_SITE, nodes=4, cpus=4, gpus=4, memory=4000, outbound=True)


def at_site(settings: Sequence[str]) -> Place:
    """This machine as a login node of a real cluster, with the course's programs on PATH."""
    path = f"PATH={Path(sys.prefix) / 'bin'}:{os.environ.get('PATH', os.defpath)}"

    @contextmanager
    def enter(_progress: Progress) -> Iterator[Runner]:
        yield _launcher(lambda words: ["env", path, *settings, *words])

    return enter


def on_cluster(name: str, settings: Sequence[str]) -> Place:
    """The login node of the embedded cluster ``name``, which runs."""

    @contextmanager
    def enter(_progress: Progress) -> Iterator[Runner]:
        yield _launcher(lambda words: lifecycle.command(name, "login", "", "/", ["env", *settings, *words]))

    return enter


def _launcher(command: Callable[[Sequence[str]], list[str]]) -> Runner:
    def launch(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        # A session of its own: Ctrl-C is for this program, which cancels jobs and stops clusters
        # in good order, and not for the command that is at work for it.
        return shell.run(["setsid", "--wait", *command(argv)], check=False, timeout=ASK)

    return launch


@contextmanager
def named(name: str, settings: Sequence[str], progress: Progress) -> Iterator[Place]:
    """The embedded cluster ``name``, started if need be, and then stopped again."""
    mine = lifecycle.running(name) is None and lifecycle.up(spec_of_default(name), place(progress), progress)
    try:
        yield on_cluster(name, settings)
    finally:
        if mine:
            lifecycle.down(name, lambda _: None, force=True)


class PrivateClusters:
    """Clusters that live for one lab each. Leaving the context takes down those that are left."""

    def __init__(
        self,
        settings: Sequence[str] = (),
        writable: Sequence[Path] = (),
        spec_of: Callable[[str], Spec] = spec_of_default,
        progress: Progress = lambda _: None,
    ) -> None:
        self._settings = settings or submit_settings("local")
        self._writable = tuple(writable)
        self._spec_of = spec_of
        self._progress = progress
        self._guard = threading.Lock()
        self._names: set[str] = set()
        self._count = 0
        self._closed = False
        self._stack = ExitStack()

    def __enter__(self) -> PrivateClusters:
        there = place(self._progress)
        # A lab without a person has no business in a learner's folder.
        self._place = msgspec.structs.replace(there, writable=self._writable)
        clusters = layout.state_home() / "clusters"
        clusters.mkdir(parents=True, exist_ok=True)
        remove_left()
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
        with ExitStack() as stack:  # one that resists must not keep the others
            for name in names:
                stack.callback(_remove, name)

    @contextmanager
    def fresh(self, progress: Progress) -> Iterator[Runner]:
        """A new cluster, and nothing left of it afterwards. This is a Place."""
        with self._guard:
            if self._closed:
                raise HpclabError("no cluster is started while the run is being stopped")
            self._count += 1
            name = f"run-{os.getpid()}-{self._count}"
            self._names.add(name)
        try:
            lifecycle.up(self._spec_of(name), self._place, progress, seconds=180)
            with on_cluster(name, self._settings)(progress) as launch:
                yield launch
            progress("stopping its cluster")
        finally:
            _remove(name)
            with self._guard:
                self._names.discard(name)


def remove_left() -> None:
    """Take down private clusters whose run was killed. A run that lives holds its owner's lock."""
    owners = {int(found[1]) for name in lifecycle.names() if (found := PRIVATE.fullmatch(name))}
    for owner in owners - {os.getpid()}:
        path = _owner_file(owner)
        with suppress(DeadlineExceeded), locks.held(path, "a run that lives", seconds=0):
            for name in lifecycle.names():
                if name.startswith(f"run-{owner}-"):
                    _remove(name)
            path.unlink(missing_ok=True)


def _owner_file(pid: int) -> Path:
    return layout.state_home() / "clusters" / f".run-{pid}.owner"


def _remove(name: str) -> None:
    lifecycle.down(name, lambda _: None, force=True, purge=True)
    (layout.state_home() / "clusters" / f".{name}.lock").unlink(missing_ok=True)
