"""What a run proves about a lab."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hpclab import headless
from hpclab.app import lab_run, proofs
from hpclab.headless import CellFailure, CellMark, RunResult

pytestmark = pytest.mark.usefixtures("own_build")


def case(expected: dict[str, float], name: str = "round 1") -> proofs.ProofCase:
    return proofs.ProofCase(lab_run.LabNotebook("01-x/ex01", Path("x")), name, (), expected)


def result(*marks: CellMark, **facts: object) -> RunResult:
    done = RunResult(job="1", state="FAILED", complete=True, marks=list(marks))
    return msgspec.structs.replace(done, **facts)


PASSED = CellMark("one", 2, 2)
REFUSED = CellMark("two", 3, 0, "CheckFailed: Found: nothing.")


def test_exact_marks_are_a_proof() -> None:
    verdict = proofs.judge_case(case({"one": 2, "two": 0}), result(PASSED, REFUSED))
    assert (verdict.ok, verdict.earned, verdict.expected) == (True, 2, 2)


@pytest.mark.parametrize(
    ("expected", "run", "fault"),
    [
        ({"one": 0}, result(PASSED), "one gave 2 instead of 0, it passed"),
        ({"two": 3}, result(REFUSED), "two gave 0 instead of 3: CheckFailed: Found: nothing."),
        ({"one": 2, "two": 0}, result(PASSED), "two did not run"),
        ({"two": 0}, result(CellMark("two", 3, 0, "not run", ran=False)), "two did not run"),
        (
            {"two": 0},
            result(CellMark("two", 3, 0, "NameError: x")),
            "two ended with an error instead of refusing the answer: NameError",
        ),
        ({}, result(PASSED), "one is a test with no expected points"),
        ({"two": 0}, result(REFUSED, problem="the cluster is down"), "the cluster is down"),
        (
            {"two": 0},
            result(REFUSED, complete=False, failure=CellFailure("c-1", 7, "the kernel died", "", "")),
            "did not reach the end of the notebook: cell 7 (c-1): the kernel died",
        ),
    ],
)
def test_any_other_outcome_is_a_fault(expected: dict[str, float], run: RunResult, fault: str) -> None:
    [first, *_] = proofs.judge_case(case(expected), run).faults
    assert fault in first


def test_a_failed_cell_is_a_fault_of_the_reference_only() -> None:
    """A wrong answer may well raise; that is how some of them are wrong."""
    failed = result(PASSED, failure=CellFailure("c-1", 7, "NameError: x", "", ""))
    assert proofs.judge_case(case({"one": 2}), failed).ok
    assert not proofs.judge_case(case({"one": 2}, "reference"), failed).ok


def test_faults_are_listed_by_case() -> None:
    wrong = case({"one": 0})
    verdict = proofs.judge_case(wrong, result(PASSED))
    assert proofs.explain_faults([(wrong, verdict)]) == (
        "  01-x/ex01: round 1 (no wrong answer)\n      one gave 2 instead of 0, it passed"
    )


def test_the_cases_of_a_lab(ex01: Path) -> None:
    reference, untouched, *rounds = proofs.build_cases(ex01)
    assert (reference.name, untouched.name) == ("reference", "untouched")
    assert reference.expected.keys() == untouched.expected.keys()
    assert set(untouched.expected.values()) == {0.0}
    assert reference.folder == lab_run.runs_folder() / "01-slurm-basics/ex01-submit-monitor"
    answers = sorted(path.stem for path in (ex01.with_suffix("") / "wrong").glob("*.md"))
    assert sorted(name for tried in rounds for name in tried.wrong_answers) == answers
    notebooks = {tried.lab.notebook.read_bytes() for tried in (reference, untouched, *rounds)}
    assert len(notebooks) == 2 + len(rounds)
    assert len(proofs.build_cases(ex01, max_rounds=0)) == 2


def test_the_reference_run_of_a_proof_is_the_run_of_the_lab(ex01: Path) -> None:
    """So that the book needs no second run: both have the same stamp."""
    settings = lab_run.load_run_settings()
    reference = proofs.build_cases(ex01)[0].lab
    assert lab_run.stamp_lab(reference, settings) == lab_run.stamp_lab(
        lab_run.write_reference(ex01), settings
    )
    assert headless.EXECUTED == "executed.ipynb"
