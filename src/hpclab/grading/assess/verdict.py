"""What happened → one word and the marks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hpclab.grading.execute.interface import Ended
from hpclab.grading.model import Lab, Mark, NotebookRun, Verdict
from hpclab.sandbox.termination import Termination

# How the cells ended → the verdict, whatever the tests then give.
STOPPED = {
    Termination.TIMEOUT: Verdict.TIMEOUT,
    Termination.MEMORY: Verdict.MEMORY,
    Termination.PROCESSES: Verdict.MEMORY,
    Termination.OUTPUT: Verdict.OUTPUT_LIMIT,
    Termination.DISK: Verdict.OUTPUT_LIMIT,
    Termination.CRASH: Verdict.CRASH,
    Termination.TAMPER: Verdict.TAMPER,
}
PENNY = 1e-9  # points that are sums of fractions


def run_of(ended: Ended, *, failed: bool, last: str, all_ran: bool, forged: str) -> NotebookRun:
    """How the learner's cells went. ``failed``: a cell raised; ``all_ran``: each cell told its end;

    ``last`` is the last one that began, ``forged`` what was wrong with the lines that came, if anything.
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
    """The verdict on a submission whose tests all said something."""
    if run is not None and run.ended in STOPPED:
        return STOPPED[run.ended]
    earned, points = sum(mark.earned for mark in marks), sum(mark.points for mark in marks)
    if earned >= points - PENNY:
        return Verdict.PASS
    return Verdict.PARTIAL if earned > PENNY else Verdict.FAIL


def nothing(lab: Lab) -> tuple[Mark, ...]:
    """The marks of a submission that earns nothing, whatever is in it."""
    return tuple(
        Mark(test=test.id, task=test.task, points=test.points, earned=0.0, hidden=test.hidden)
        for test in lab.tests
    )
