"""A class at a glance: what the numbers are, and that nothing of a stranger's runs in it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hpclab.grading.gradebook import CellScore, StudentScores
from hpclab.grading.gradebook.plan import plan_marks
from hpclab.grading.model import Mark, Verdict
from hpclab.grading.reports import class_report, overview, pages
from hpclab.grading.reports.class_report import ClassSummary
from tests import class_data

from .test_feedback import Seen

LAB = class_data.lab()


@pytest.fixture
def found(tmp_path: Path) -> ClassSummary:
    known = class_data.course(tmp_path)
    results = class_data.all_results()
    marked = {one.task.student: one for one in results if one.verdict is not Verdict.SYSTEM_ERROR}
    scores = {
        student: StudentScores(
            student=student,
            received=one.task.received,
            tests=tuple(
                CellScore(test=test.id, points=test.points, auto=plan_marks(one, LAB).scores[test.id])
                for test in LAB.tests
            ),
            flagged=student == "eve",
        )
        for student, one in marked.items()
    }
    unmarked = {"hal": next(one for one in results if one.task.student == "hal")}
    rows = overview.build_rows(
        known,
        overview.LabMarks(
            lab=LAB.name,
            scores=scores,
            results=marked,
            unmarked=unmarked,
            lateness={},
            receipts=tuple(class_data.receipts(results)),
        ),
    )
    return class_report.summarize(known.title, LAB, rows, marked)


def test_the_numbers(found: ClassSummary) -> None:
    assert found.sentence.startswith("10 students, 9 submitted, 8 marked, median 2.5 of 5")
    assert found.bins == (3, 0, 0, 0, 1, 0, 3, 0, 0, 1)
    assert dict(found.verdicts)["PARTIAL"] == 2 and dict(found.verdicts)["SYSTEM_ERROR"] == 1
    assert [row.student for row in found.missing] == ["zoe"]
    assert [row.student for row in found.without_mark] == ["hal"] and [
        row.student for row in found.to_review
    ] == ["eve"]


def test_a_task_counts_whose_tests_have_spoken(found: ClassSummary) -> None:
    submit, wait = found.tasks
    assert (submit.full, submit.part, submit.none) == (4, 0, 2)
    assert (wait.full, wait.part, wait.none) == (2, 2, 2)
    assert wait.reasons[0] == ("hidden check wait-hidden-tests: a check did not pass", 4), wait.reasons


@pytest.mark.parametrize(
    ("marks", "total", "bins"),
    [
        ([0, 0.1, 0.2999999, 10], 10, {0: 3, 9: 1}),
        ([1, 2, 3], 10, {1: 1, 2: 1, 3: 1}),
        ([0.3 * 3], 1.0, {9: 1}),
        ([11], 10, {9: 1}),
        ([5], 0, {0: 1}),
    ],
)
def test_marks_are_spread_over_tenths(marks: list[float], total: float, bins: dict[int, int]) -> None:
    assert {at: count for at, count in enumerate(class_report.count_by_tenth(marks, total)) if count} == bins


def test_the_same_reason_is_one_line() -> None:
    def of(found: str) -> str:
        return class_report.find_reason(Mark(test="t", task="t", points=1, earned=0, found=found))

    assert of("job 12 printed 'abc' after 3.5 s") == of("job 977 printed 'x y' after 12 s")
    assert of("job 12 ended FAILED") != of("job 12 ended TIMEOUT")
    told = Mark(
        test="t-2", task="t", points=1, earned=0, hidden=True, said="a hidden check failed", private="7 != 8"
    )
    assert class_report.find_reason(told) == "hidden check t-2: N != N"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["no job named 'a'", "no job named 'a'"], "no job named 'a'"),
        (["no job named 'a'", "no job named 'b'"], "no job named '…'"),
        (["job 12 ended FAILED", "job 13 ended FAILED"], "job N ended FAILED"),
    ],
)
def test_words_that_all_have_are_kept(said: list[str], told: str) -> None:
    test = LAB.tests[0]
    marks = [Mark(test=test.id, task=test.task, points=test.points, earned=0, found=one) for one in said]
    results = {
        f"s{number}": msgspec.structs.replace(class_data.result(f"s{number}"), marks=(mark,))
        for number, mark in enumerate(marks)
    }
    assert class_report.summarize("Course", LAB, [], results).tasks[0].reasons == ((told, 2),)


def test_the_page_runs_nothing(found: ClassSummary) -> None:
    text = pages.render_report(found).decode()
    seen = Seen(text)
    assert not {"script", "iframe", "form", "object", "link"} & {tag for tag, _ in seen.tags}
    assert not any(name.startswith("on") or name in ("style", "href") for _, one in seen.tags for name in one)
    assert "<script>alert(1)</script> Eve (eve)" in seen.text and "\u202e" not in text
    for wanted in ("the cluster did not start", "stopped at the time limit", "nothing submitted", "no mark"):
        assert wanted in seen.text


def test_a_class_without_marks_has_a_page_too(found: ClassSummary) -> None:
    empty = class_report.summarize("x", LAB, [], {})
    assert empty.sentence.startswith("0 students") and b"All students" in pages.render_report(empty)
