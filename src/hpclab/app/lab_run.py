"""One lab, run once: which notebook, how, where its runs are kept, and what it was made from."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hpclab import __version__, headless, layout
from hpclab.app import parallel, targets
from hpclab.app.clusters import DEFAULT_SITE, load_site, submit_settings
from hpclab.cluster import lifecycle
from hpclab.errors import HpclabError
from hpclab.exercises import build, source
from hpclab.files import write_whole
from hpclab.sites import Site
from hpclab.slurm import Runner

ENOUGH = 5  # times what the author measured: another machine, other labs beside it


@dataclass(frozen=True)
class Lab:
    """One notebook to run: what people call it, the file, and how long its author saw it take."""

    label: str  # MODULE/NAME
    notebook: Path
    seconds: int = 0

    @property
    def folder(self) -> Path:
        """Where its runs are kept."""
        return runs_folder() / self.label


@dataclass(frozen=True, kw_only=True)
class How:
    """How labs run, whichever they are. ``minutes`` 0: each as long as its author's measure tells."""

    site: Site
    imitated: Site
    settings: Sequence[str]
    options: Sequence[str] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    minutes: int = 0
    cell_seconds: int = 0
    queue_minutes: int = 10
    slowest: float = 2.0

    def limit(self, lab: Lab) -> int:
        """The time limit of the lab's job, in minutes."""
        return self.minutes or max(15, math.ceil(lab.seconds * ENOUGH / 60))


def build_folder() -> Path:
    """Where everything that is made goes."""
    return layout.clone_folder() / "build"


def runs_folder() -> Path:
    """Where runs are kept, a folder a lab."""
    return build_folder() / "runs"


def how_to_run(
    site: str = "local", *, name: str = "", gpu: bool = True, account: str = "", qos: str = ""
) -> How:
    """How labs run at ``site``; with ``name`` on that embedded cluster."""
    profile = load_site(site)
    imitated = profile
    if site == "local":
        imitated = load_site(DEFAULT_SITE)
        if name and lifecycle.running(name):
            imitated = lifecycle.spec_of(name).site
    qos = qos or imitated.submit.notebook_qos
    return How(
        site=profile,
        imitated=imitated,
        settings=submit_settings(site, gpu=gpu, account=account),
        options=[f"--qos={qos}"] if qos else [],
    )


def reference(path: Path) -> Lab:
    """The lab at ``path``: an exercise's reference notebook, or a notebook as it is."""
    if path.suffix == ".ipynb":  # copied, since the cluster may not see the place where it lies
        label = f"{path.parent.name or 'notebooks'}/{path.stem}"
        notebook = build_folder() / "given" / f"{label}.ipynb"
        write_whole(notebook, path.read_bytes())
        return Lab(label, notebook)
    exercise = source.load(path)
    notebook = build.write_reference(path, build_folder() / "reference")
    return Lab(f"{exercise.module}/{exercise.name}", notebook, exercise.about.cost.seconds)


def stamp(lab: Lab, how: How) -> dict[str, str]:
    """What a run of ``lab`` would be made from."""
    package = layout.clone_folder() / "src" / "hpclab"
    return headless.stamp(
        notebook=lab.notebook.read_bytes(),
        templates=[layout.clone_folder() / "templates"],
        parameters=dict(how.parameters),
        site=[
            msgspec.to_builtins(how.site),
            msgspec.to_builtins(how.imitated),
            *how.settings,
            *how.options,
        ],
        evidence=[
            path for part in ("evidence", "plots", "slurm") for path in sorted(package.glob(f"{part}*"))
        ],
        version=__version__,
    )


def attempt(
    lab: Lab, how: How, place: targets.Place, pause: parallel.Pause, note: Callable[[str], None]
) -> headless.Run:
    """Run ``lab`` at ``place``. What goes wrong is in the result; only a stop is raised."""
    made_from = stamp(lab, how)
    done = headless.Run(headless.Result(lab=lab.label))
    try:
        with place(note) as launch:
            note("submitting")
            order = _order(lab, how, launch)
            done = headless.run(order, launch=launch, report=note, pause=pause, slowest=how.slowest)
    except HpclabError as problem:
        done = done.with_(problem=problem.problem, remedy=problem.remedy)
    return done.with_(stamp=made_from)


def _order(lab: Lab, how: How, launch: Runner) -> headless.Order:
    scratch = launch(["sh", "-c", 'echo "${SCRATCH:-$HOME}"']).stdout.strip()
    now = time.strftime("%Y%m%d-%H%M%S")
    minutes = how.limit(lab)
    return headless.Order(
        lab=lab.label,
        notebook=lab.notebook,
        folder=f"{scratch}/runs/{lab.notebook.stem}-{now}-{os.getpid()}",
        parameters=how.parameters,
        options=how.options,
        minutes=minutes,
        cell=how.cell_seconds or minutes * 40,  # two thirds of it: so that the cell's deadline comes first
        queued=how.queue_minutes * 60,
    )


def default_jobs() -> int:
    """How many labs run at once by default: two for each CPU, since they mostly wait, but at most four."""
    return min(4, 2 * len(os.sched_getaffinity(0)))
