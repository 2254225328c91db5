"""Run the tasks of a round: as workers on this machine, or as a job array at a site."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpclab import layout
from hpclab.app import lab_run, parallel, targets
from hpclab.app.grading import isolated_sandbox, worker_pool
from hpclab.app.grading.results import Collected, Reporter
from hpclab.cluster import identity, isolated
from hpclab.grading import array
from hpclab.grading import batch as batches
from hpclab.grading.batch import Batch
from hpclab.grading.model import Lab
from hpclab.sandbox import ids
from hpclab.slurm import Runner

RunRound = Callable[[int, list[list[str]]], None]
ALIVE = "workers.lock"  # in the folder of a batch; held by every worker on this machine


@dataclass(frozen=True, kw_only=True)
class GradingOptions:
    """Options for grading, independent of the students."""

    site: str
    at_once: int
    usual: lab_run.RunSettings
    image: Path | None = None  # Apptainer image in which the tasks run
    options: Sequence[str] = ()
    queued: float = 86400.0  # seconds that may pass at a site before a task starts
    slowest: float = 15.0  # longest interval in seconds between queries of a site's queue


@contextlib.contextmanager
def open_rounds(
    home: Path,
    spool: Path,
    batch: Batch,
    lab: Lab,
    how: GradingOptions,
    collected: Collected,
    reporter: Reporter,
) -> Iterator[RunRound]:
    """Yield a function that runs a round and returns when none of its tasks is left."""
    with parallel.Cancellation() as stop:
        if how.site != "local":
            with targets.at_site(how.usual.environment)(reporter.say) as launch:
                yield lambda number, shared: _run_array(
                    launch, spool, batch, how, number, shared, collected, reporter, stop
                )
            return
        how = with_image_in(spool, how)
        if lab.nodes:
            prepare_isolated(lab, batch, reporter.say)
        yield lambda number, shared: _run_workers(
            home, spool, batch, how, number, shared, collected, reporter, stop
        )


def _run_workers(
    home: Path,
    spool: Path,
    batch: Batch,
    how: GradingOptions,
    number: int,
    shared: Sequence[Sequence[str]],
    collected: Collected,
    reporter: Reporter,
    stop: parallel.Cancellation,
) -> None:
    hidden = [home.parents[2]]  # the course's folder
    worker_pool.run_round(
        [
            worker_pool.command(spool, batch, number, index, image=how.image, hidden=hidden)
            for index in range(len(shared))
        ],
        [home / "log" / f"{number}-{index}.log" for index in range(len(shared))],
        at_once=how.at_once,
        seconds=batches.seconds_of(batch, shared),
        alive=home / ALIVE,
        look=collected.look,
        say=reporter.say,
        stop=stop,
    )


def prepare_isolated(lab: Lab, batch: Batch, say: Callable[[str], None]) -> None:
    """Unpack packages and make the isolated clusters' database: a worker started by root can't write the cache."""
    if os.geteuid() == 0:
        with ids.allocated() as own:
            spec = isolated_sandbox.spec_for(lab, batch.limits, identity.for_isolated(own))
            isolated.ensure_template(spec, isolated_sandbox.what_is_shown(), say, own.lock)


def with_image_in(spool: Path, how: GradingOptions) -> GradingOptions:
    """Return the options with a copy of the image in the spool: a worker can't see other folders."""
    if how.image is None:
        return how
    copy = spool / "image.sif"
    shutil.copyfile(how.image, copy)
    copy.chmod(0o644)
    return replace(how, image=copy)


def _run_array(
    launch: Runner,
    spool: Path,
    batch: Batch,
    how: GradingOptions,
    number: int,
    shared: Sequence[Sequence[str]],
    collected: Collected,
    reporter: Reporter,
    stop: parallel.Cancellation,
) -> None:
    script = layout.clone_folder() / "autograder" / "grade-array.sbatch"
    options = [*how.usual.options, *how.options]
    array.submit(launch, script, spool, batch, number, shared, how.at_once, options, how.image)
    watch(launch, batch, how, collected.look, reporter, stop)


def watch(
    launch: Runner,
    batch: Batch,
    how: GradingOptions,
    look: Callable[[], int],
    reporter: Reporter,
    stop: parallel.Cancellation,
) -> None:
    """Wait for the batch's jobs; ``look`` collects results. A signal cancels them and raises Interrupted."""
    with stop.polling():
        try:
            array.watch(
                launch,
                batch,
                look,
                reporter.say,
                stop.pause,
                queued=how.queued,
                slowest=how.slowest,
            )
        except parallel.Cancelled:
            stop.check()
            raise
