"""The outcome of a submission's cells and tests → one verdict and the marks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hpclab.grading.execute.interface import Ended
from hpclab.grading.model import Lab, Mark, NotebookRun, Verdict
from hpclab.sandbox.termination import Termination

# How the cells ended → the verdict, whatever the tests give.
STOPPED = {
    Termination.TIMEOUT: Verdict.TIMEOUT,
    Termination.MEMORY: Verdict.MEMORY,
    Termination.PROCESSES: Verdict.MEMORY,
    Termination.OUTPUT: Verdict.OUTPUT_LIMIT,
    Termination.DISK: Verdict.OUTPUT_LIMIT,
    Termination.CRASH: Verdict.CRASH,
    Termination.TAMPER: Verdict.TAMPER,
}
TOLERANCE = 1e-9  # tolerance for points that are sums of fractions


def run_of(ended: Ended, *, failed: bool, last: str, all_ran: bool, forged: str) -> NotebookRun:
    """Return how the learner's cells ended.

    ``failed``: a cell raised; ``all_ran``: each cell reported its end; ``last`` is the last one that began;
    ``forged`` says which line the runner can't have written, if any.
    """
    how, detail = ended.termination, ended.errors.strip()[-2000:]
    if forged:
        how, detail = Termination.TAMPER, forged
    elif how.is_limit:
        detail = f"the limit was reached: {how}"
    elif how == Termination.DONE and not all_ran:
        how = Termination.CRASH
    elif how == Termination.DONE and failed:
        how = Termination.ERROR
    return NotebookRun(ended=how, seconds=ended.seconds, last_cell=last, detail=detail)


def judge(run: NotebookRun | None, marks: Sequence[Mark]) -> Verdict:
    """Return the verdict on a submission whose tests all had an outcome."""
    if run is not None and run.ended in STOPPED:
        return STOPPED[run.ended]
    earned, points = sum(mark.earned for mark in marks), sum(mark.points for mark in marks)
    if earned >= points - TOLERANCE:
        return Verdict.PASS
    return Verdict.PARTIAL if earned > TOLERANCE else Verdict.FAIL


def nothing(lab: Lab) -> tuple[Mark, ...]:
    """Return the marks of a submission that earns nothing, whatever it contains."""
    return tuple(
        Mark(test=test.id, task=test.task, points=test.points, earned=0.0, hidden=test.hidden)
        for test in lab.tests
    )
