"""The fixed wording of feedback: verdicts, the message of a failed hidden check, and the format of points."""

from __future__ import annotations

import msgspec

from hpclab.grading.model import NotebookRun, Result, Verdict
from hpclab.sandbox.termination import Termination

HIDDEN = (
    "A check that your notebook doesn't show did not pass. It covers something that the task asks for and the visible "
    "check doesn't test. Read the task again, sentence by sentence."
)
REGRADE = (
    "Grading is repeatable: the same submission always gets the same mark. If you think that this mark is wrong, write "
    "to your instructor. Name the lab, the receipt and the task, and say what in your work shows that the task is done. "
    "An instructor can change the mark by hand, and this page then says so."
)


class VerdictText(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict in plain words. ``tone``: good, part or bad."""

    title: str
    happened: str
    next: str
    tone: str


def format_points(value: float) -> str:
    """Format points without trailing zeros: ``3``, ``2.5``, ``2.67``."""
    return f"{round(value, 2):g}"


def describe_verdict(result: Result) -> VerdictText:
    """Describe what happened to a submission, and what its student can do next."""
    run = result.run or NotebookRun(ended=Termination.DONE)
    at = f" in the cell {run.last_cell}" if run.last_cell else ""
    marked = "The work that it had done by then was graded as usual."
    texts: dict[Verdict, tuple[str, str, str, str]] = {
        Verdict.PASS: (
            "Every check passed",
            "Your notebook ran from top to bottom and solved every task.",
            "You're done with this lab. Its summary lists what to remember.",
            "good",
        ),
        Verdict.PARTIAL: (
            "Some tasks are done",
            "Your notebook ran to the end. Some checks passed and some did not.",
            "Start with the first task below that isn't done. It says what was found and what was expected.",
            "part",
        ),
        Verdict.FAIL: (
            "No check passed yet",
            "Your notebook ran to the end, but none of the tasks is done yet.",
            "Start with the first task. Run its check in your own notebook until it says Passed, then continue.",
            "bad",
        ),
        Verdict.TIMEOUT: (
            "It ran out of time",
            f"Your notebook was stopped after {run.seconds:.0f} s{at}, because it took longer than the lab allows. {marked}",
            "Look for a loop that never ends, a wait for a job that can't start, or a call of input(). "
            "Choose Run, Restart Kernel and Run All Cells: it must reach the end for you, too.",
            "part",
        ),
        Verdict.MEMORY: (
            "It used too much memory or too many processes",
            f"Your notebook was stopped{at}. {marked}",
            "Look for a list or an array that keeps growing, and for processes that start other processes.",
            "part",
        ),
        Verdict.OUTPUT_LIMIT: (
            "It printed or wrote too much",
            f"Your notebook was stopped{at}, because it printed or wrote more than the lab allows. {marked}",
            "Look for a print in a loop, and for files that keep growing.",
            "part",
        ),
        Verdict.CRASH: (
            "Python exited too early",
            f"The Python process that ran your notebook exited{at}, before the last cell. {marked}",
            "Look for a call of exit(), os._exit() or kill, and for a library that crashes. "
            "Choose Run, Restart Kernel and Run All Cells to see it for yourself.",
            "part",
        ),
        Verdict.TAMPER: (
            "An instructor will look at it",
            "Your submission contains something that normal work can't produce, such as changed points in the "
            "notebook's metadata. It earns no points until an instructor has looked at it.",
            "If you know what it was, or are sure that you did nothing of this kind, write to your instructor. "
            "Start again from the notebook that you were given, and copy only your answers into it.",
            "bad",
        ),
        Verdict.BAD_INPUT: (
            "It could not be read",
            "Your submission could not be read as this lab, so there was nothing to grade.",
            "Fix the problem shown above and submit it again.",
            "bad",
        ),
        Verdict.SYSTEM_ERROR: (
            "Not graded yet",
            "Grading failed for a reason on our side. This says nothing about your work.",
            "You don't need to do anything. It will be graded again.",
            "part",
        ),
    }
    title, happened, next_step, tone = texts[result.verdict]
    return VerdictText(title=title, happened=happened, next=next_step, tone=tone)
