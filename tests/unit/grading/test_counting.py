"""Which version counts: one table, for marks, lateness, and reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab.app.grading import selection
from hpclab.errors import UsageError
from hpclab.grading import settings
from hpclab.grading.gradebook import penalties
from hpclab.grading.reports import overview
from hpclab.grading.settings import Course
from hpclab.grading.submissions.counting import counting_versions
from hpclab.grading.submissions.store import Receipt, Store

CLOSES = 1_796_040_000.0  # 30 November 2026, 12:00 UTC
TEXT = """
title = "T"
zone = "UTC"
[labs.ex01]
due = 2026-11-30T10:00:00
closes = 2026-11-30T12:00:00
[labs.ex02]
[[student]]
id = "ada"
[[student]]
id = "bob"
[[extension]]
student = "bob"
lab = "ex01"
until = 2026-11-30T13:00:00
reason = "ill"
"""


@pytest.fixture
def course(tmp_path: Path) -> Course:
    (tmp_path / "settings.toml").write_text(TEXT)
    return settings.load(tmp_path)


def receipt(number: int, after: float, student: str = "ada", lab: str = "ex01") -> Receipt:
    """Version ``number``, received so many seconds after the closing."""
    return Receipt(
        **{"student": student, "lab": lab, "number": number, "hash": "0" * 64, "files": {}, "source": "t"},
        received=CLOSES + after,
    )


@pytest.mark.parametrize(
    ("student", "given", "counts"),
    [
        ("ada", [], None),
        ("ada", [(1, -10)], 1),
        ("ada", [(1, -10), (2, -5)], 2),
        ("ada", [(2, -5), (1, -10)], 2),  # whatever order they are read in
        ("ada", [(1, 0)], 1),  # the closing itself is in time
        ("ada", [(1, 0.001)], None),  # the first hand-in came after the closing
        ("ada", [(1, -10), (2, 10)], 1),
        ("ada", [(1, 10), (2, 20)], None),
        ("ada", [(1, -10), (2, -10)], 2),  # received in one moment: the later number
        ("ada", [(1, -5), (2, -10)], 2),  # the clock was set back: the later number
        ("ada", [(1, -5), (9, -4), (10, -3)], 10),  # numbers are no text
        ("bob", [(1, -10), (2, 3599)], 2),  # an extension
        ("bob", [(1, -10), (2, 3601)], 1),
    ],
)
def test_the_version_that_counts(
    course: Course, student: str, given: list[tuple[int, float]], counts: int | None
) -> None:
    receipts = [receipt(number, after, student) for number, after in given]
    others = [receipt(7, -1, "cy"), receipt(8, -1, student, "ex02")]
    found = counting_versions(course, "ex01", [*others, *receipts])
    assert (found[student].number if student in found else None) == counts
    assert found["cy"].number == 7 and set(found) <= {student, "cy"}


def test_a_lab_without_a_closing_takes_the_last_one(course: Course) -> None:
    receipts = [receipt(1, -10, lab="ex02"), receipt(2, 1e6, lab="ex02")]
    assert counting_versions(course, "ex02", receipts)["ada"].number == 2


def test_lateness_goes_by_the_version_that_counts(course: Course) -> None:
    found = penalties.compute_lateness(course, "ex01", [receipt(1, -7300), receipt(2, -7200), receipt(3, 60)])
    assert found["ada"].seconds == 0  # version 2, in time to the second; version 3 came after the closing
    assert penalties.compute_lateness(course, "ex01", [receipt(1, 60)]) == {}


def test_who_came_only_after_the_closing_is_not_waited_for(course: Course) -> None:
    [ada, bob] = overview.build_rows(
        course,
        overview.LabMarks(
            lab="ex01",
            scores={},
            results={},
            unmarked={},
            lateness={},
            receipts=(receipt(1, 60), receipt(1, -60, "bob")),
        ),
    )
    assert (ada.handed_in, ada.trouble) == (True, overview.TOO_LATE)
    assert (bob.handed_in, bob.trouble) == (True, "not graded yet")


def test_who_is_graded_has_a_version_that_counts(course: Course, tmp_path: Path) -> None:
    store = Store(tmp_path)

    def hand_in(student: str, after: float) -> None:
        staged = tmp_path / f"staged-{student}-{after}"
        staged.mkdir()
        (staged / "a").write_text(student)
        store.receive(student, "ex01", staged, "t", CLOSES + after)

    with pytest.raises(UsageError, match="nothing was handed in for ex01"):
        selection.versions(course, store, "ex01", [])
    hand_in("ada", 60)
    with pytest.raises(UsageError, match="ada handed ex01 in only after it had closed"):
        selection.versions(course, store, "ex01", [])
    hand_in("bob", -60)
    assert list(selection.versions(course, store, "ex01", [])) == ["bob"]
    with pytest.raises(UsageError, match="ada handed ex01 in only after it had closed"):
        selection.versions(course, store, "ex01", ["ada", "bob"])
    hand_in("ada", -30)
    assert {one: two.number for one, two in selection.versions(course, store, "ex01", []).items()} == {
        "ada": 2,
        "bob": 1,
    }
    with pytest.raises(UsageError, match="no student"):
        selection.versions(course, store, "ex01", ["eve"])
    with pytest.raises(UsageError, match="nothing was handed in for ex02 by bob"):
        selection.versions(course, store, "ex02", ["bob"])
