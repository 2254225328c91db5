"""Marks as CSV: nothing that a spreadsheet runs, and no zero where there is no mark."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec
import pytest

from hpclab.errors import UsageError
from hpclab.grading.gradebook import CellScore, StudentScores, penalties
from hpclab.grading.gradebook.plan import plan_marks
from hpclab.grading.model import Verdict
from hpclab.grading.reports import export as exporting
from hpclab.grading.reports import overview
from hpclab.grading.reports.overview import StudentRow
from hpclab.grading.settings import Course
from tests import class_data

LAB = class_data.lab()


@pytest.fixture
def known(tmp_path: Path) -> Course:
    return class_data.course(tmp_path / "class")


@pytest.fixture
def rows(known: Course) -> list[StudentRow]:
    results = class_data.all_results()
    marked = {one.task.student: one for one in results if one.verdict is not Verdict.SYSTEM_ERROR}
    scores = {
        student: StudentScores(
            student=student,
            received=one.task.received,
            tests=tuple(
                CellScore(
                    test=test.id,
                    points=test.points,
                    auto=plan_marks(one, LAB).scores[test.id],
                    needs_look=student == "eve",
                )
                for test in LAB.tests
            ),
        )
        for student, one in marked.items()
    }
    receipts = class_data.receipts(results)
    unmarked = {one.task.student: one for one in results if one.verdict is Verdict.SYSTEM_ERROR}
    lateness = penalties.compute_lateness(known, LAB.name, receipts)
    return overview.build_rows(
        known,
        overview.LabMarks(
            lab=LAB.name,
            scores=scores,
            results=marked,
            unmarked=unmarked,
            lateness=lateness,
            receipts=tuple(receipts),
        ),
    )


def read(data: bytes) -> dict[str, dict[str, str]]:
    lines = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    return {
        line.get("student") or line.get("SIS Login ID") or line.get("Username") or "": line for line in lines
    }


def test_everybody_has_a_row_and_only_marks_are_numbers(known: Course, rows: list[StudentRow]) -> None:
    found = read(exporting.export("csv", known, rows))
    assert list(found) == [*sorted(found)] and set(found) == set(known.students)
    assert {student: line["score"] for student, line in found.items()} == {
        **{"ada": "5", "bob": "2.7", "eve": "0", "fay": "2", "gus": "0"},
        **{"hal": "", "kim": "0", "leo": "3", "mia": "3", "zoe": ""},
    }
    assert (
        found["bob"]["penalty"] == "0.3"
        and found["bob"]["checks"] == "3"
        and found["bob"]["days_late"] == "1"
    )
    assert found["bob"]["received"] == "2026-11-30T14:00:00.250000+00:00"
    assert found["bob"]["received_there"] == "2026-11-30 15:00:00 CET (Europe/Berlin)"
    assert found["hal"]["trouble"] == "the cluster did not start" and found["zoe"]["trouble"] == ""
    assert found["eve"]["needs_look"] == "yes" and found["ada"]["needs_look"] == ""


def test_nothing_handed_in_is_zero_only_if_asked_and_our_fault_never(
    known: Course, rows: list[StudentRow]
) -> None:
    for kind, score in (("csv", "score"), ("canvas", "Lab"), ("moodle", "Lab")):
        data = exporting.export(kind, known, rows, assignment="Lab", points=5, missing_as_zero=True)
        found = read(data)
        assert found["zoe"][score] == "0"
        assert found.get("hal", {score: ""})[score] == ""


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+Gus", "'+Gus"),
        ("-Gus", "'-Gus"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'x"),
        (" =1", "' =1"),
        ("\ufeff=1", "'[U+FEFF]=1"),
        ("\n=1", "' =1"),
        ("a\nb", "a b"),
        ("Leo \u202eoeL", "Leo [U+202E]oeL"),
        ("Ada", "Ada"),
        ("O'Neil", "O'Neil"),
    ],
)
def test_no_cell_is_a_formula(known: Course, text: str, cell: str) -> None:
    row = StudentRow(
        student="s", name=text, email=text, lms=text, hub=text, lab="x", score=1.0, handed_in=True
    )
    plain = read(exporting.export("csv", known, [row]))["s"]
    assert (plain["name"], plain["email"], plain["lms"]) == (cell, cell, cell)
    for kind in ("canvas", "moodle"):
        data = exporting.export(kind, known, [row], assignment=text, points=1)
        cells = [one for line in csv.reader(io.StringIO(data.decode(), newline="")) for one in line]
        assert not [one for one in cells if one.startswith(exporting.FORMULA)]


def test_canvas_finds_its_columns(known: Course, rows: list[StudentRow]) -> None:
    data = exporting.export("canvas", known, rows, assignment="Lab 1 (4711)", points=5)
    head, possible, *people = csv.reader(io.StringIO(data.decode(), newline=""))
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Lab 1 (4711)"]
    assert possible == ["    Points Possible", "", "", "", "", "5"]
    assert ["Ada Lovelace", "1001", "", "ada", "", "5"] in people
    assert not [line for line in people if line[3] in ("hal", "zoe")], (
        "an empty cell would remove a mark there"
    )


def test_moodle_finds_its_columns(known: Course, rows: list[StudentRow]) -> None:
    data = exporting.export("moodle", known, rows, assignment="Lab 1")
    head, *people = csv.reader(io.StringIO(data.decode(), newline=""))
    assert head == ["Username", "Email address", "Lab 1"]
    assert ["bob", "bob@example.org", "2.7"] in people and len(people) == 8


def test_one_lab_a_file_for_a_learning_platform(known: Course, rows: list[StudentRow]) -> None:
    other = msgspec.structs.replace(rows[0], lab="ex02")
    with pytest.raises(UsageError, match="one lab a file"):
        exporting.export("canvas", known, [*rows, other])
    assert len(exporting.export("csv", known, [*rows, other]).splitlines()) == len(rows) + 2


def test_the_byte_order_mark_is_a_choice(known: Course, rows: list[StudentRow]) -> None:
    without = exporting.export("csv", known, rows)
    assert exporting.export("csv", known, rows, byte_order_mark=True) == b"\xef\xbb\xbf" + without
    assert "Фаина Раневская" in without.decode() and without.count(b"\r\n") == len(rows) + 1


def test_every_column_is_explained() -> None:
    assert exporting.__doc__
    assert all(column in exporting.__doc__ for column in exporting.COLUMNS)
