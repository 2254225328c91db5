"""Where the tasks run: as job arrays of a site, or of a cluster of this machine that lives for one batch."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from hpclab import layout
from hpclab.app import lab_run, parallel, targets
from hpclab.app.grading.results import Collected, Reporter
from hpclab.cluster.spec import Spec
from hpclab.grading import array
from hpclab.grading.batch import Batch
from hpclab.slurm import Runner

Rounds = Callable[[int, list[list[str]]], None]


@dataclass(frozen=True, kw_only=True)
class How:
    """How a class is graded, whichever students."""

    site: str
    at_once: int
    usual: lab_run.How
    image: Path | None = None  # of Apptainer, in which the tasks run
    options: Sequence[str] = ()
    queued: float = 600.0
    slowest: float = 2.0


@contextlib.contextmanager
def rounds(spool: Path, batch: Batch, how: How, collected: Collected, reporter: Reporter) -> Iterator[Rounds]:
    """What does a round: a job array of a site, or of a cluster of this machine that lives for the purpose."""
    with parallel.Stop() as stop, contextlib.ExitStack() as stack:
        if how.site == "local":
            how = with_image_in(spool, how)
            private = stack.enter_context(
                targets.PrivateClusters(
                    how.usual.settings, (spool,), lambda name: spec_for(name, batch), reporter.say
                )
            )
            launch = stack.enter_context(private.fresh(reporter.say))
        else:
            launch = stack.enter_context(targets.at_site(how.usual.settings)(reporter.say))
        yield lambda number, shared: _as_array(
            launch, spool, batch, how, number, shared, collected, reporter, stop
        )


def with_image_in(spool: Path, how: How) -> How:
    """With a copy of the image in the spool: of this machine the cluster's nodes see that folder alone."""
    if how.image is None:
        return how
    copy = spool / "image.sif"
    shutil.copyfile(how.image, copy)
    copy.chmod(0o644)
    return replace(how, image=copy)


def spec_for(name: str, batch: Batch) -> Spec:
    """The cluster whose array tasks grade: nodes on which one of them fits."""
    usual = targets.spec_of_default(name)
    return msgspec.structs.replace(
        usual,
        cpus_per_node=max(usual.cpus_per_node, batch.needs.cpus),
        memory_mib=max(usual.memory_mib, batch.needs.memory_mib),
        outbound=False,
    )


def _as_array(
    launch: Runner,
    spool: Path,
    batch: Batch,
    how: How,
    number: int,
    shared: Sequence[Sequence[str]],
    collected: Collected,
    reporter: Reporter,
    stop: parallel.Stop,
) -> None:
    script = layout.clone_folder() / "autograder" / "grade-array.sbatch"
    options = [*how.usual.options, *how.options]
    array.submit(launch, script, spool, batch, number, shared, how.at_once, options, how.image)
    watch(launch, batch, how, collected.look, reporter, stop)


def watch(
    launch: Runner,
    batch: Batch,
    how: How,
    look: Callable[[], int],
    reporter: Reporter,
    stop: parallel.Stop,
) -> None:
    """Wait for the batch's jobs; ``look`` brings results home. A signal cancels them and raises Interrupted."""
    with stop.looked_at():
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
        except parallel.Stopped:
            stop.check()
            raise
