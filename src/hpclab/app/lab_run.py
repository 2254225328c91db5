"""One lab, run once: its notebook, the settings of the run, and the folder where its runs are kept."""

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

TIME_FACTOR = 5  # the limit of a job over the author's measure: another machine, other labs beside it
DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class LabNotebook:
    """One notebook to run: its label, its file, and the seconds that its author measured."""

    label: str  # MODULE/NAME
    notebook: Path
    seconds: int = 0

    @property
    def folder(self) -> Path:
        """Where its runs are kept."""
        return runs_folder() / self.label


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How labs run: the same for every lab of a command.

    ``environment`` holds NAME=value for every command, ``options`` are for the notebook's ``sbatch``.
    ``minutes`` is the job's time limit (0: by the author's measure of the lab), ``cell_s`` the
    longest time of a cell (0: two thirds of the job's limit), ``queue_minutes`` the longest wait for
    the job's start.
    """

    site: Site
    imitated: Site
    environment: Sequence[str]
    options: Sequence[str] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    minutes: int = 0
    cell_s: int = 0
    queue_minutes: int = 10
    slowest_poll_s: float = 2.0

    def limit_minutes(self, lab: LabNotebook) -> int:
        """The time limit of the lab's job."""
        return self.minutes or max(15, math.ceil(lab.seconds * TIME_FACTOR / 60))


def build_folder() -> Path:
    """The folder for everything generated."""
    return layout.clone_folder() / "build"


def runs_folder() -> Path:
    """Where runs are kept, one folder for each lab."""
    return build_folder() / "runs"


def load_run_settings(
    site: str = "local", *, cluster: str = "", gpu: bool = True, account: str = "", qos: str = ""
) -> RunSettings:
    """How labs run at ``site``; with ``cluster`` on that embedded cluster."""
    profile = load_site(site)
    imitated = profile
    if site == "local":
        imitated = load_site(DEFAULT_SITE)
        if cluster and lifecycle.running(cluster):
            imitated = lifecycle.spec_of(cluster).site
    qos = qos or imitated.submit.notebook_qos
    return RunSettings(
        site=profile,
        imitated=imitated,
        environment=submit_settings(site, gpu=gpu, account=account),
        options=[f"--qos={qos}"] if qos else [],
        queue_minutes=10 if site == "local" else DAY_MINUTES,
        slowest_poll_s=2.0 if site == "local" else 15.0,
    )


def write_reference(path: Path) -> LabNotebook:
    """Write the notebook to run for the lab at ``path``: its reference version, or a copy of a notebook."""
    if path.suffix == ".ipynb":  # copied, since the cluster may not see the folder that it is in
        label = f"{path.parent.name or 'notebooks'}/{path.stem}"
        notebook = build_folder() / "given" / f"{label}.ipynb"
        write_whole(notebook, path.read_bytes())
        return LabNotebook(label, notebook)
    exercise = source.load(path)
    notebook = build.write_reference(path, build_folder() / "reference")
    return LabNotebook(f"{exercise.module}/{exercise.name}", notebook, exercise.about.cost.seconds)


def stamp_lab(lab: LabNotebook, settings: RunSettings) -> dict[str, str]:
    """Digests of everything that a run of ``lab`` is made from."""
    package = layout.clone_folder() / "src" / "hpclab"
    return headless.stamp(
        notebook=lab.notebook.read_bytes(),
        templates=[layout.clone_folder() / "templates"],
        parameters=dict(settings.parameters),
        site=[
            msgspec.to_builtins(settings.site),
            msgspec.to_builtins(settings.imitated),
            *settings.environment,
            *settings.options,
        ],
        evidence=[
            path for part in ("evidence", "plots", "slurm") for path in sorted(package.glob(f"{part}*"))
        ],
        version=__version__,
    )


def run_lab(
    lab: LabNotebook,
    settings: RunSettings,
    target: targets.Target,
    pause: parallel.Pause,
    progress: Callable[[str], None],
) -> headless.FinishedRun:
    """Run ``lab`` at ``target``. Failures are in the result; only a cancellation is raised."""
    stamp = stamp_lab(lab, settings)
    run = headless.FinishedRun(headless.RunResult(lab=lab.label))
    try:
        with target(progress) as launch:
            progress("submitting")
            run = headless.run_notebook(
                _compose_job(lab, settings, launch),
                launch=launch,
                progress=progress,
                pause=pause,
                slowest_poll_s=settings.slowest_poll_s,
            )
    except HpclabError as problem:
        run = run.with_facts(problem=problem.problem, remedy=problem.remedy)
    return run.with_facts(stamp=stamp)


def _compose_job(lab: LabNotebook, settings: RunSettings, launch: Runner) -> headless.NotebookJob:
    scratch = launch(["sh", "-c", 'echo "${SCRATCH:-$HOME}"']).stdout.strip()
    now = time.strftime("%Y%m%d-%H%M%S")
    minutes = settings.limit_minutes(lab)
    return headless.NotebookJob(
        lab=lab.label,
        notebook=lab.notebook,
        folder=f"{scratch}/runs/{lab.notebook.stem}-{now}-{os.getpid()}",
        parameters=settings.parameters,
        options=settings.options,
        minutes=minutes,
        cell_s=settings.cell_s or minutes * 40,  # two thirds of it: so that the cell's deadline comes first
        queue_s=settings.queue_minutes * 60,
    )


def default_parallelism() -> int:
    """How many labs run at once by default: two for each CPU, since they mostly wait, but at most four."""
    return min(4, 2 * len(os.sched_getaffinity(0)))
