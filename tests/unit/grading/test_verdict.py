"""What happened → one word and the marks."""

from __future__ import annotations

import msgspec
import pytest

from hpclab.grading.assess import verdict
from hpclab.grading.execute.interface import Ended
from hpclab.grading.model import Mark, NotebookRun, Result, Verdict
from hpclab.sandbox.termination import Termination


def marks(*earned: float) -> list[Mark]:
    return [Mark(test=f"t{number}", task="t", points=1.0, earned=one) for number, one in enumerate(earned)]


@pytest.mark.parametrize(
    ("ended", "failed", "all_ran", "forged", "how"),
    [
        (Ended(status=0, termination=Termination.DONE), False, True, "", "done"),
        (Ended(status=0, termination=Termination.DONE), True, True, "", "error"),
        (
            Ended(status=0, termination=Termination.DONE, errors="Submitted batch job 12"),
            False,
            True,
            "",
            "done",
        ),
        (Ended(status=None, signal=9, termination=Termination.TIMEOUT), True, False, "", "timeout"),
        (Ended(status=84, termination=Termination.TIMEOUT), False, False, "", "timeout"),
        (Ended(status=None, signal=9, termination=Termination.MEMORY), False, False, "", "memory"),
        (Ended(status=1, termination=Termination.PROCESSES), False, True, "", "processes"),
        (Ended(status=85, termination=Termination.OUTPUT), False, True, "", "output"),
        (Ended(status=0, termination=Termination.DISK), False, True, "", "disk"),
        (Ended(status=None, signal=11, termination=Termination.CRASH), False, False, "", "crash"),
        (Ended(status=1, termination=Termination.CRASH), False, True, "", "crash"),
        (Ended(status=0, termination=Termination.DONE), False, False, "", "crash"),  # os._exit(0)
        (
            Ended(status=0, termination=Termination.DONE),
            False,
            False,
            "a line that is none of the runner's",
            "tamper",
        ),
        (Ended(status=None, signal=9, termination=Termination.TIMEOUT), False, False, "forged", "tamper"),
    ],
)
def test_how_the_cells_went(ended: Ended, failed: bool, all_ran: bool, forged: str, how: str) -> None:
    assert verdict.run_of(ended, failed=failed, last="c", all_ran=all_ran, forged=forged).ended == how


@pytest.mark.parametrize(
    ("how", "earned", "word"),
    [
        ("done", (1, 1), Verdict.PASS),
        ("error", (1, 1), Verdict.PASS),  # a cell raised, and the work is there
        ("done", (1, 0), Verdict.PARTIAL),
        ("done", (0, 0), Verdict.FAIL),
        ("timeout", (1, 1), Verdict.TIMEOUT),
        ("memory", (1, 0), Verdict.MEMORY),
        ("processes", (1, 0), Verdict.MEMORY),
        ("output", (0, 0), Verdict.OUTPUT_LIMIT),
        ("disk", (0, 0), Verdict.OUTPUT_LIMIT),
        ("crash", (1, 0), Verdict.CRASH),
        ("tamper", (1, 1), Verdict.TAMPER),
    ],
)
def test_the_word(how: str, earned: tuple[float, ...], word: Verdict) -> None:
    assert verdict.judge(NotebookRun(ended=Termination(how)), marks(*earned)) is word


def test_sums_of_fractions_are_full_marks() -> None:
    thirds = [Mark(test=str(n), task="t", points=1 / 3, earned=1 / 3) for n in range(3)]
    assert verdict.judge(NotebookRun(ended=Termination.DONE), thirds) is Verdict.PASS


# As version 0.9 wrote it.
STORED = b"""{"task": {"lab": "01-slurm-basics/ex01", "student": "ada", "number": 1, "hash": "ab", "received": 1.5,
"uuid": "u", "seed": 7}, "lab_digest": "d", "grader": "0.9.0", "image": "", "verdict": "MEMORY", "marks": [],
"run": {"ended": "%s", "seconds": 2.5, "last_cell": "wait", "detail": "its limit of processes was reached"},
"notes": [], "problem": "", "jobs": [], "log": "", "executed": "", "seconds": 3.0, "tries": 1}"""


@pytest.mark.parametrize("word", ["done", "error", "timeout", "memory", "output", "crash", "tamper"])
def test_results_of_older_versions_can_be_read(word: str) -> None:
    stored = STORED % word.encode()
    result = msgspec.json.decode(stored, type=Result)
    assert result.run and result.run.ended is Termination(word)
    assert msgspec.json.decode(msgspec.json.encode(result)) == msgspec.json.decode(stored)
