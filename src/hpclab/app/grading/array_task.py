"""One task of a grading run, as a job or as a worker on this machine: grades its submissions in order.

    python -I -m hpclab.app.grading.array_task SPOOL ROUND INDEX

Submissions with a result are skipped, so a restarted task continues where it was. Before the first
submission is marked, the probes of ``execute.canary`` must have passed on a node of this kind.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hpclab import locks
from hpclab.app.grading import version
from hpclab.errors import GradingError, HostUnsuitable, HpclabError
from hpclab.files import write_whole
from hpclab.grading import batch as batches
from hpclab.grading import worker
from hpclab.grading.batch import Batch
from hpclab.grading.execute import canary, host_support, limits
from hpclab.grading.execute.canary import Probed
from hpclab.grading.execute.interface import Enter
from hpclab.grading.model import Lab, Result, Verdict

PROBE_SECONDS = 600.0  # wait this long while another task runs the probes on this kind of node
UNFINISHED = "it did not come to an end"  # the canary's text for a probe without an outcome


class Escaped(GradingError):
    """A probe escaped: a second try wouldn't change that."""


def main(spool: Path, number: int, index: int) -> None:
    """Grade the submissions of task ``index`` in round ``number``. Raises HpclabError."""
    batch = batches.read(spool)
    lab = batches.read_lab(spool, batch)
    tasks = {task.student: task for task in batch.tasks}
    left = []
    for student in batches.read_round(spool, number, index):
        known = batches.result(spool, batch, tasks[student], lab)
        if not isinstance(known, Result) or known.verdict is Verdict.SYSTEM_ERROR:
            left.append(tasks[student])
    if not left:
        return
    with open_probed(spool, lab, batch) as enter:
        for task in left:
            result = worker.grade(
                task,
                lab,
                lambda task=task: batches.submission(spool, task),  # type: ignore[misc]
                enter,
                batch.limits,
                grader=batch.grader,
                image=batch.image,
            )
            batches.write_result(spool, result)
            print(
                f"{task.student}: {result.verdict} {result.earned:g}/{result.points:g}, {result.seconds:g} s"
            )
            if result.problem:
                print("    " + result.problem.replace("\n", "\n    "))
            sys.stdout.flush()


@contextmanager
def open_probed(spool: Path, lab: Lab, batch: Batch) -> Iterator[Enter]:
    """Yield a function that creates a sandbox for a submission, once the probes have passed in one.

    If this node can't grade at all, the reason is written to ``canary/refused``, and the command stops all tasks.
    Any reason but an escape must occur twice, since a killed process looks the same.
    """
    for last in (False, True):
        with contextlib.ExitStack() as stack:
            try:
                require_same_grader(batch)
                enter = stack.enter_context(open_sandboxes(lab))
                probe(spool, enter, lab, batch)
            except (HostUnsuitable, GradingError) as problem:
                print(problem, flush=True)
                if not last and not isinstance(problem, Escaped):
                    continue
                where = f"on {socket.gethostname()}: {problem.problem}"
                refusal = batches.NodeRefusal(problem=where, remedy=problem.remedy)
                write_whole(spool / "canary" / "refused", msgspec.json.encode(refusal))
                raise
            yield enter
            return


def require_same_grader(batch: Batch) -> None:
    """Raise GradingError if this node's grader differs from the batch's."""
    if (here := version.grader(batch.parts)) != batch.grader:
        raise GradingError(
            f"the course there is another one ({here}) than where the grading began ({batch.grader})",
            "It must be the same everywhere, and not be changed while it grades. Then: the same command again.",
        )


@contextmanager
def open_sandboxes(lab: Lab) -> Iterator[Enter]:
    """Yield a function that creates sandboxes for ``lab``: isolated clusters, or forks of the forkserver."""
    if lab.nodes:
        from hpclab.app.grading import isolated_sandbox

        yield isolated_sandbox.enter
    else:
        from hpclab.grading.execute import plain_sandbox

        with plain_sandbox.PlainSandboxes() as forks:
            yield forks.enter


def probe(spool: Path, enter: Enter, lab: Lab, batch: Batch) -> None:
    """Run the canary's probes once for each kind of node. Raises HpclabError where one escapes or can't run."""
    print(f"submissions are kept in by: {host_support.require(cluster=lab.nodes > 0)}", flush=True)
    report = spool / "canary" / f"{kind_of_node()}.json"
    with one_at_a_time(report.with_suffix(".lock")):
        if not report.exists():
            began = time.monotonic()
            hidden = [spool, spool / "lab.json", spool / "submissions"]
            bounds = limits.to_break(batch.limits) if lab.nodes else canary.LIMITS
            found = canary.probe(enter, lab, bounds, hidden)
            refuse(found)
            write_whole(report, msgspec.json.encode(found))
            print(f"{len(found)} probes, none got out, {time.monotonic() - began:.1f} s", flush=True)


def refuse(found: Sequence[Probed]) -> None:
    """Raise Escaped where a probe escaped, GradingError where one did not finish."""
    try:
        canary.refuse(found)
    except GradingError as problem:
        if all(one.detail.startswith(UNFINISHED) for one in canary.escaped(found)):
            raise
        raise Escaped(problem.problem, problem.remedy) from None


def kind_of_node() -> str:
    """Return a name shared by nodes with the same means of isolation."""
    system = Path("/etc/os-release")
    facts = [
        platform.machine(),
        platform.release(),
        system.read_text() if system.is_file() else "",
        str(host_support.look()),
        str(Path("/sys/fs/cgroup/cgroup.controllers").exists()),
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Lock ``path``, so that only one task per kind of node runs the probes; without file locks, each task does."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, HpclabError):
            stack.enter_context(locks.held(path, "another task to do the probes", seconds=PROBE_SECONDS))
        yield


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    except HpclabError as problem:
        sys.exit(f"{problem}")
