"""What happened → one word and the marks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hpclab.grading.execute.interface import Ended
from hpclab.grading.model import Lab, Mark, Run, Verdict

# What stopped the cells → how the run is told, and the verdict, whatever the tests then give.
OVER = {
    "seconds": "timeout",
    "memory": "memory",
    "processes": "memory",
    "output": "output",
    "disk": "output",
}
STOPPED = {
    "timeout": Verdict.TIMEOUT,
    "memory": Verdict.MEMORY,
    "output": Verdict.OUTPUT_LIMIT,
    "crash": Verdict.CRASH,
    "tamper": Verdict.TAMPER,
}
PENNY = 1e-9  # points that are sums of fractions


def run_of(ended: Ended, *, failed: bool, last: str, all_ran: bool, forged: str) -> Run:
    """How the learner's cells went. ``failed``: a cell raised; ``all_ran``: each cell told its end;

    ``last`` is the last one that began, ``forged`` what was wrong with the lines that came, if anything.
    """
    detail = ended.errors.strip()[-2000:]
    if forged:
        how, detail = "tamper", forged
    elif ended.over:
        how, detail = OVER[ended.over], f"its limit of {ended.over} was reached"
    elif ended.signal is not None or ended.status != 0 or not all_ran:
        how = "crash"
    else:
        how = "error" if failed else "done"
    return Run(ended=how, seconds=ended.seconds, last_cell=last, detail=detail)


def judge(run: Run | None, marks: Sequence[Mark]) -> Verdict:
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
