"""What is said of each verdict, and of hidden checks: fixed wording, for people who learn."""

from __future__ import annotations

import msgspec

from hpclab.grading.model import Result, Run, Verdict
from hpclab.sandbox.termination import Termination

HIDDEN = (
    "A check that your notebook does not show did not pass. It asks for something that the task says and the visible "
    "check does not look at: read the task again, word by word."
)
REGRADE = (
    "Grading is repeatable: the same submission gets the same mark every time. If you think that this mark is "
    "wrong, write to the people who teach your class, and name the lab, the receipt and the task, and what in your "
    "work shows that the task is done. A person can look at it and change the mark; this page then says so."
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict in plain words. ``tone``: good, part or bad."""

    title: str
    happened: str
    next: str
    tone: str


def verdict(result: Result) -> Said:
    """What happened, and what to do next."""
    run = result.run or Run(ended=Termination.DONE)
    at = f", in the cell {run.last_cell}" if run.last_cell else ""
    marked = "What it had done by then was marked as usual."
    words: dict[Verdict, tuple[str, str, str, str]] = {
        Verdict.PASS: (
            "Every check passed",
            "Your notebook ran from top to bottom and did everything that the tasks ask for.",
            "Nothing is left to do here. The summary at the end of the lab names what to remember.",
            "good",
        ),
        Verdict.PARTIAL: (
            "Some of it is done",
            "Your notebook ran to its end. Some checks passed and some did not.",
            "Begin with the first task below that is not done: it says what was found and what was expected.",
            "part",
        ),
        Verdict.FAIL: (
            "No check passed yet",
            "Your notebook ran to its end, and none of the tasks is done yet.",
            "Begin with the first task. Run its check in your own notebook until it says Passed, then go on.",
            "bad",
        ),
        Verdict.TIMEOUT: (
            "Its time was over",
            f"Your notebook was stopped after {run.seconds:.0f} s{at}: its cells took longer than they may. {marked}",
            "Look for a loop that never ends, a wait for a job that cannot start, or input() that waits for somebody. "
            "Choose Run, Restart Kernel and Run All Cells: if that does not come to its end for you, it did not here.",
            "part",
        ),
        Verdict.MEMORY: (
            "It took too much memory, or too many processes",
            f"Your notebook was stopped{at}. {marked}",
            "Look for a list or array that grows without end, and for processes that start others.",
            "part",
        ),
        Verdict.OUTPUT_LIMIT: (
            "It printed or wrote too much",
            f"Your notebook was stopped{at}: it printed more, or wrote more to disk, than it may. {marked}",
            "Look for a print in a loop, and for files that grow without end.",
            "part",
        ),
        Verdict.CRASH: (
            "Its Python came to an end too early",
            f"The Python that ran your notebook ended before the last cell{at}. {marked}",
            "Look for exit(), os._exit() or a kill of your own, and for a library that crashes. Choose Run, "
            "Restart Kernel and Run All Cells to see it for yourself.",
            "part",
        ),
        Verdict.TAMPER: (
            "A person has to look at it",
            "Something in what you handed in does not come about by working on the lab, such as changed points "
            "in the notebook's own data. It was put aside, and counts nothing until a person has looked at it.",
            "If you know what it was, or if you are sure that you did nothing of the kind, write to the people who teach "
            "your class. Begin anew from the notebook that you were given, and copy only your answers into it.",
            "bad",
        ),
        Verdict.BAD_INPUT: (
            "It could not be read",
            "What you handed in could not be read as this lab, so there was nothing to mark.",
            "What was wrong stands below. Put it right and hand it in again.",
            "bad",
        ),
        Verdict.SYSTEM_ERROR: (
            "Not marked yet",
            "Grading did not work for this submission. That is our fault and says nothing about your work.",
            "Nothing is left to do for you: it will be graded again.",
            "part",
        ),
    }  # fmt: skip
    title, happened, following, tone = words[result.verdict]
    return Said(title=title, happened=happened, next=following, tone=tone)
