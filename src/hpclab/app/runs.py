"""Headless runs of many labs: which are due, run in parallel, kept, and explained where they failed."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hpclab import headless
from hpclab.app.lab_run import (
    LabNotebook,
    RunSettings,
    default_parallelism,
    run_lab,
    runs_folder,
    stamp_lab,
)
from hpclab.app.parallel import Cancellation, run_parallel
from hpclab.app.targets import Progress, open_target
from hpclab.errors import NotebookFailed
from hpclab.headless import kept

Note = Callable[[str, str], None]  # label, text


def reasons_to_run(lab: LabNotebook, settings: RunSettings, *, fresh: bool) -> list[str]:
    """Why ``lab`` must run; none when its kept run is good and up to date. ``fresh`` is a reason itself."""
    return ["--fresh"] if fresh else headless.reasons_to_run(lab.folder, stamp_lab(lab, settings))


def choose_parallelism(settings: RunSettings, cluster: str, labs: int) -> int:
    """How many labs run at once by default: one where they share a cluster, since they are all one user's."""
    own_clusters = settings.site.name == "local" and not cluster
    return max(1, min(default_parallelism() if own_clusters else 1, labs))


def run_labs(
    labs: Sequence[LabNotebook],
    settings: RunSettings,
    *,
    cluster: str,
    max_parallel: int,
    prepare: Progress,
    note: Note,
    finished: Callable[[LabNotebook, headless.RunResult], None],
) -> None:
    """Run ``labs`` and keep every run, the longest first, ``max_parallel`` at a time.

    They run at the settings' site; at ``local`` on the embedded cluster ``cluster``, or each on one
    of its own where it is empty. ``prepare`` gets the steps before the first run, ``note`` those of
    each run, ``finished`` the results. Raises Interrupted after a signal, HpclabError when the
    target cannot be prepared.
    """
    try:
        with (
            Cancellation() as cancellation,
            open_target(settings.site.name, cluster, settings.environment, prepare) as target,
        ):

            def work(lab: LabNotebook) -> headless.FinishedRun:
                progress = functools.partial(note, lab.label)
                return run_lab(lab, settings, target.enter, cancellation.pause, progress)

            def keep(lab: LabNotebook, run: headless.FinishedRun) -> None:
                finished(lab, headless.keep(run, lab.folder))

            # So that no long lab runs alone at the end.
            ordered = sorted(labs, key=lambda lab: -lab.seconds)
            run_parallel(ordered, work, max_parallel, keep, cancellation, target.close)
    finally:
        headless.write_summary(runs_folder())


def read_results(labs: Sequence[LabNotebook]) -> list[headless.RunResult]:
    """The newest result of each lab that has one."""
    results = {result.lab: result for result in headless.read_rows(runs_folder())}
    return [results[lab.label] for lab in labs if lab.label in results]


def failure(lab: LabNotebook, result: headless.RunResult) -> NotebookFailed | None:
    """Why a lab failed, and where its files and the last good run are; None for a good run."""
    try:
        headless.require_ok(result, _describe_files(lab.folder))
    except NotebookFailed as problem:
        return problem
    return None


def _describe_files(folder: Path) -> str:
    notebook, log = folder / kept.FAILED.notebook, folder / kept.FAILED.log
    lines = [f"The failed notebook, as far as it was executed: {notebook}"] if notebook.exists() else []
    lines += [f"Its log: {log}"] if log.exists() else []
    if good := headless.read(folder):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(good.written))
        lines.append(f"The last good run, of {when}, is still there: {folder / headless.EXECUTED}")
    return "\n".join(lines)
