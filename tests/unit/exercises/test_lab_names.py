"""Names of labs as people type them."""

from __future__ import annotations

import pytest

from hpclab.errors import UsageError
from hpclab.exercises.lab_names import LabName, complete_lab_names, select_lab, select_labs

SUBMIT = LabName("01-slurm-basics", "ex01-submit-monitor")
ARRAYS = LabName("01-slurm-basics", "ex04-job-arrays")
ARRAYS_MORE = LabName("01-slurm-basics", "ex04-job-arrays-more")
SAVE = LabName("02-checkpointing", "ex01-basic-checkpoint")
BALANCE = LabName("03-a", "ex05-balance")
BALANCE_TOO = LabName("03-b", "ex05-balance")
OWN = LabName("", "ex09-own")  # a lab that the clone does not have
KNOWN = [SUBMIT, ARRAYS, ARRAYS_MORE, SAVE, BALANCE, BALANCE_TOO, OWN]
MODULE = [SUBMIT, ARRAYS, ARRAYS_MORE]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("01-slurm-basics/ex01-submit-monitor", [SUBMIT]),
        ("ex01-submit-monitor", [SUBMIT]),
        ("ex01-submit", [SUBMIT]),
        ("ex01-submit/", [SUBMIT]),
        ("01/ex01", [SUBMIT]),
        ("02/ex01", [SAVE]),
        ("01-slurm-basics/ex01", [SUBMIT]),
        ("0/ex01-s", [SUBMIT]),
        ("ex04-job-arrays", [ARRAYS]),  # exactly this, although another one begins with it
        ("01/ex04-job-arrays", [ARRAYS]),
        ("01", MODULE),
        ("01/", MODULE),
        ("01-sl", MODULE),
        ("01-slurm-basics", MODULE),
        ("notebooks/01-slurm-basics/", MODULE),
        ("02", [SAVE]),
        ("ex01-submit-monitor.md", [SUBMIT]),
        ("01/ex01.ipynb", [SUBMIT]),
        ("notebooks/01-slurm-basics/ex01-submit-monitor.md", [SUBMIT]),
        ("/home/ada/course/notebooks/02-checkpointing/ex01-basic-checkpoint.ipynb", [SAVE]),
        ("03-a/ex05", [BALANCE]),
        ("ex09", [OWN]),
        ("01/ex09-own", [OWN]),  # its module is unknown
    ],
)
def test_a_name_means_labs(text: str, meant: list[LabName]) -> None:
    assert select_labs(text, KNOWN) == meant


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("ex01", "'ex01' names several labs", f"Valid:\n    {SUBMIT.label}\n    {SAVE.label}"),
        ("ex05-balance", "names several labs", "    03-a/ex05-balance\n    03-b/ex05-balance"),
        ("0", "'0' names several labs", SAVE.label),
        ("01/ex04", "names several labs", ARRAYS_MORE.label),
        ("ex77", "'ex77' names no lab", "Valid:\n    01-slurm-basics/ex01-submit-monitor\n"),
        ("ex01-sumbit-moniter", "names no lab", f"Did you mean {SUBMIT.label}?\nValid:"),
        ("02/ex04", "names no lab", "Valid:"),
        ("07", "'07' names no lab", "ex09-own"),
        ("01/01", "names no lab", "Valid:"),
        ("", "'' names no lab", "Valid:"),
        ("/", "names no lab", "Valid:"),
        (".md", "names no lab", "Valid:"),
        ("ex01\n\u202e", r"'ex01\n\u202e' names no lab", "Valid:"),
    ],
)
def test_another_name_is_refused_with_the_valid_ones(text: str, problem: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        select_labs(text, KNOWN)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_one_lab_is_meant_where_a_command_takes_one() -> None:
    assert select_lab("01/ex01", KNOWN) == SUBMIT
    assert select_lab("02", KNOWN) == SAVE
    with pytest.raises(UsageError, match="'01' names a module with several labs"):
        select_lab("01", KNOWN)


def test_the_hint_ends_the_remedy() -> None:
    with pytest.raises(UsageError) as caught:
        select_lab("ex01", [], "Hand one out: hpclab release LAB")
    assert caught.value.remedy == "There are no labs yet.\nHand one out: hpclab release LAB"


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("01-slurm-basics/ex01", [SUBMIT.label]),
        ("02", [SAVE.label]),
        ("ex01", [SUBMIT.name, SAVE.name]),
        ("ex05", [BALANCE.label, BALANCE_TOO.label]),
        ("ex09", [OWN.name]),
        ("07", []),
    ],
)
def test_the_shell_completes_what_was_begun(begun: str, offered: list[str]) -> None:
    assert complete_lab_names(begun, KNOWN) == offered
    for name in offered:
        assert select_lab(name, KNOWN).name.startswith(begun.rpartition("/")[2]) or begun == "02"
