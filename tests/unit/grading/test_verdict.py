"""What happened → one word and the marks."""

from __future__ import annotations

import pytest

from hpclab.grading.assess import verdict
from hpclab.grading.execute.interface import Ended
from hpclab.grading.model import Mark, Run, Verdict


def marks(*earned: float) -> list[Mark]:
    return [Mark(test=f"t{number}", task="t", points=1.0, earned=one) for number, one in enumerate(earned)]


@pytest.mark.parametrize(
    ("ended", "failed", "all_ran", "forged", "how"),
    [
        (Ended(status=0), False, True, "", "done"),
        (Ended(status=0), True, True, "", "error"),
        (Ended(status=0, errors="Submitted batch job 12"), False, True, "", "done"),
        (Ended(status=None, signal=9, over="seconds"), True, False, "", "timeout"),
        (Ended(status=84, over="seconds"), False, False, "", "timeout"),
        (Ended(status=None, signal=9, over="memory"), False, False, "", "memory"),
        (Ended(status=1, over="processes"), False, True, "", "memory"),
        (Ended(status=85, over="output"), False, True, "", "output"),
        (Ended(status=0, over="disk"), False, True, "", "output"),
        (Ended(status=None, signal=11), False, False, "", "crash"),
        (Ended(status=1), False, True, "", "crash"),
        (Ended(status=0), False, False, "", "crash"),  # os._exit(0)
        (Ended(status=0), False, False, "a line that is none of the runner's", "tamper"),
        (Ended(status=None, signal=9, over="seconds"), False, False, "forged", "tamper"),
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
        ("output", (0, 0), Verdict.OUTPUT_LIMIT),
        ("crash", (1, 0), Verdict.CRASH),
        ("tamper", (1, 1), Verdict.TAMPER),
    ],
)
def test_the_word(how: str, earned: tuple[float, ...], word: Verdict) -> None:
    assert verdict.judge(Run(ended=how), marks(*earned)) is word


def test_sums_of_fractions_are_full_marks() -> None:
    thirds = [Mark(test=str(n), task="t", points=1 / 3, earned=1 / 3) for n in range(3)]
    assert verdict.judge(Run(ended="done"), thirds) is Verdict.PASS
