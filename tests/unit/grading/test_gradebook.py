"""nbgrader's gradebook: as nbgrader itself writes it, whole or not at all, and careful with what people set by hand."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nbgrader.api import Gradebook

from hpclab import locks
from hpclab.errors import DeadlineExceeded, GradingError
from hpclab.grading import gradebook
from hpclab.grading.gradebook import cells, database, folders
from hpclab.grading.gradebook.plan import find_refusal
from hpclab.grading.model import Mark, Result, Verdict
from hpclab.grading.settings import Course
from tests import class_data

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
LAB = class_data.lab()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A class to which the lab was handed out; made once, since nbgrader takes seconds for an empty database."""
    folder = tmp_path_factory.mktemp("template") / "class"
    known = class_data.course(folder)
    shutil.copy(root / "autograder/nbgrader_config.py", folder)
    gradebook.release(known, LAB, class_data.source_notebook())
    return folder


@pytest.fixture
def known(template: Path, tmp_path: Path) -> Course:
    folder = tmp_path / "class"
    shutil.copytree(template, folder)
    return class_data.course(folder)


def write(known: Course, results: list[Result], **more: Any) -> gradebook.Written:
    return gradebook.write(known, LAB, results, class_data.receipts(results), **more)


def by_hand(known: Course, student: str, test: str = "wait-hidden-tests", **values: Any) -> None:
    """What the formgrader does when a person sets a mark."""
    with Gradebook(f"sqlite:///{known.folder}/gradebook.db", "hpclab") as book:
        grade = book.find_grade(test, LAB.name, LAB.name, student)
        for name, value in values.items():
            setattr(grade, name, value)
        grade.needs_manual_grade = False
        book.db.commit()


def comment(known: Course, student: str, cell: str, words: str) -> None:
    with Gradebook(f"sqlite:///{known.folder}/gradebook.db", "hpclab") as book:
        book.find_comment(cell, LAB.name, LAB.name, student).manual_comment = words
        book.db.commit()


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def dump(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        found = list(connection.iterdump())
    connection.close()
    return found


def part(known: Course, student: str, test: str = "wait-hidden-tests") -> gradebook.CellScore:
    [found] = [one for one in gradebook.read_scores(known, LAB.name)[student].tests if one.test == test]
    return found


# ---- the lab ---------------------------------------------------------------------------------

ASSIGNMENT = "select name, course_id from assignment"
NOTEBOOK = "select name, kernelspec from notebook"
GRADED = "select b.name, b.type, g.max_score, g.cell_type from base_cell b join grade_cells g on g.id = b.id"
ANSWERS = "select b.name, b.type from base_cell b join solution_cells s on s.id = b.id"
SOURCES = "select name, cell_type, locked, source, checksum from source_cell"


def test_the_lab_is_registered_as_nbgrader_itself_does_it(known: Course, root: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "source" / LAB.name).mkdir(parents=True)
    (theirs / "source" / LAB.name / f"{LAB.name}.ipynb").write_bytes(class_data.source_notebook())
    shutil.copy(root / "autograder/nbgrader_config.py", theirs)
    bin = Path(sys.executable).parent
    subprocess.run(
        [bin / "nbgrader", "generate_assignment", LAB.name],
        cwd=theirs,
        env={**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    for query in (ASSIGNMENT, NOTEBOOK, GRADED, ANSWERS, SOURCES):
        mine, other = (rows(folder / "gradebook.db", query) for folder in (known.folder, theirs))
        assert sorted(mine) == sorted(other) and mine, query
    schema = "select name, sql from sqlite_master"
    assert sorted(rows(known.folder / "gradebook.db", schema)) == sorted(
        rows(theirs / "gradebook.db", schema)
    )
    version = "select * from alembic_version"
    assert rows(known.folder / "gradebook.db", version) == rows(theirs / "gradebook.db", version)
    released = Path("release") / LAB.name / f"{LAB.name}.ipynb"
    assert (known.folder / released).read_bytes() == (theirs / released).read_bytes()


def test_handing_it_out_again_changes_nothing(known: Course) -> None:
    before = dump(known.folder / "gradebook.db")
    gradebook.release(known, LAB, class_data.source_notebook())
    assert dump(known.folder / "gradebook.db") == before


def test_deadlines_and_people_are_the_class_s(known: Course) -> None:
    path = known.folder / "gradebook.db"
    assert rows(path, "select duedate from assignment") == [("2026-11-30 12:00:00.000000",)]
    people = {row[0]: row[1:] for row in rows(path, "select id, last_name, first_name, email from student")}
    assert people["ada"] == ("Lovelace", "Ada", "ada@example.org")
    assert people["hal"] == ("Hal", "9000", None)
    assert people["mia"] == ("Mia", "", None)
    assert not any("<" in str(value) for row in people.values() for value in row)


def test_a_lab_that_grew_leaves_marks_alone_and_shows_what_is_missing(known: Course) -> None:
    write(known, [class_data.result("ada")])
    text = class_data.TEXT.replace("points: 5", "points: 6") + (
        "\n```{code-cell} python\n:exercise: submit\n:role: hidden-tests\n:points: 1\n\nassert script\n```\n"
    )
    grown = class_data.lab_of(class_data.source.parse(text, Path("notebooks/01-slurm/ex01-jobs.md")))
    gradebook.release(known, grown, class_data.source_notebook())
    mine = gradebook.read_scores(known, LAB.name)["ada"]
    assert mine.score == 5 and mine.points == 6 and not mine.marked and mine.needs_look
    gradebook.release(known, LAB, class_data.source_notebook())
    assert gradebook.read_scores(known, LAB.name)["ada"].points == 5


def test_a_cell_with_a_mark_by_hand_is_not_forgotten(known: Course) -> None:
    write(known, [class_data.result("ada")])
    by_hand(known, "ada", manual_score=1.0)
    tests = tuple(test for test in LAB.tests if not test.hidden)
    notebook = msgspec.json.decode(LAB.notebook)
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "wait-hidden-tests"]
    smaller = msgspec.structs.replace(LAB, tests=tests, notebook=msgspec.json.encode(notebook).decode())
    before = dump(known.folder / "gradebook.db")
    with pytest.raises(GradingError, match="set by hand: ada"):
        gradebook.release(known, smaller, class_data.source_notebook())
    assert dump(known.folder / "gradebook.db") == before


def test_tests_that_do_not_fit_the_notebook_are_refused() -> None:
    tests = (msgspec.structs.replace(LAB.tests[0], points=99.0), *LAB.tests[1:])
    with pytest.raises(GradingError, match="submit-tests"):
        cells.list_rows(msgspec.structs.replace(LAB, tests=tests))


# ---- marks -----------------------------------------------------------------------------------


def test_every_verdict_is_written_as_it_should(known: Course) -> None:
    written = write(known, class_data.all_results())
    assert dict(written.unmarked) == {"hal": "the cluster did not start"}
    there = gradebook.read_scores(known, LAB.name)
    assert {student: mine.score for student, mine in there.items()} == {
        "ada": 5, "bob": 3, "eve": 0, "fay": 2, "gus": 0, "kim": 0, "leo": 3, "mia": 3,
    }  # fmt: skip
    assert all(mine.marked and mine.points == 5 for mine in there.values())
    assert [student for student, mine in there.items() if mine.needs_look] == ["eve"]
    assert [student for student, mine in there.items() if mine.flagged] == ["eve"]
    assert there["ada"].received == class_data.NOON - 3600
    assert set(gradebook.read_results(known, LAB.name)) == set(there)
    assert set(gradebook.read_unmarked(known, LAB.name)) == {"hal"}
    said = dict(
        rows(
            known.folder / "gradebook.db",
            "select s.student_id || ' ' || b.name, c.auto_comment from comment c"
            " join base_cell b on b.id = c.cell_id join submitted_notebook n on n.id = c.notebook_id"
            " join submitted_assignment s on s.id = n.assignment_id",
        )
    )
    assert said["ada wait"] is None
    assert said["bob wait"] == "A check that the notebook doesn't show did not pass."
    assert said["gus submit-run"] == "No response."
    assert said["kim wait"].startswith("ex01-jobs.ipynb is not JSON")
    assert said["eve wait"].startswith("Set aside for an instructor") and "\x1b" not in said["eve wait"]
    assert said["mia submit-script"] == "Found: job 12 ended FAILED (mia); expected: COMPLETED"


def test_what_nbgrader_sees_is_what_was_written(known: Course) -> None:
    """The queries of the formgrader's own pages."""
    write(known, class_data.all_results())
    with Gradebook(f"sqlite:///{known.folder}/gradebook.db", "hpclab") as book:
        submissions = {one["student"]: one for one in book.submission_dicts(LAB.name)}
        assert submissions["bob"]["score"] == 3 and submissions["bob"]["max_score"] == 5
        assert {one["student"] for one in book.notebook_submission_dicts(LAB.name, LAB.name)} == set(
            submissions
        )
        bob = book.find_submission(LAB.name, "bob")
        assert bob.total_seconds_late == pytest.approx(7200.25)
        assert bob.late_submission_penalty == pytest.approx(0.3)


def test_writing_twice_is_writing_once(known: Course) -> None:
    write(known, class_data.all_results())
    before, files = dump(known.folder / "gradebook.db"), mtimes(known.folder)
    write(known, class_data.all_results())
    assert dump(known.folder / "gradebook.db") == before
    assert mtimes(known.folder) == files


def mtimes(folder: Path) -> dict[str, int]:
    kept = ("autograded", "submitted", "source", "release")
    return {
        str(path): path.stat().st_mtime_ns
        for top in kept
        for path in (folder / top).rglob("*.*")
        if path.name != folders.UNMARKED
    }


def test_what_a_person_set_stays_when_it_is_graded_again(known: Course) -> None:
    write(known, class_data.all_results())
    by_hand(known, "bob", manual_score=1.5, extra_credit=0.5)
    comment(known, "bob", "wait", "Half right: see page 3.")
    write(known, class_data.all_results())
    assert part(known, "bob").manual == 1.5 and not part(known, "bob").needs_look
    write(known, [class_data.result("bob", Verdict.PASS, (2, 1, 2), received=class_data.NOON + 7200)])
    mine = gradebook.read_scores(known, LAB.name)["bob"]
    assert (part(known, "bob").auto, part(known, "bob").manual, part(known, "bob").extra) == (2, 1.5, 0.5)
    assert mine.comments == {"wait": "Half right: see page 3."}
    assert mine.score == 2 + 1 + 1.5 + 0.5
    assert part(known, "bob").needs_look, "what the mark by hand stood on has changed"
    assert not part(known, "bob", "wait-tests").needs_look


def test_a_person_s_word_on_tampering_stands(known: Course) -> None:
    [eve] = [one for one in class_data.all_results() if one.task.student == "eve"]
    write(known, [eve])
    for test in LAB.tests:
        by_hand(known, "eve", test.id)
    write(known, [eve])
    assert not gradebook.read_scores(known, LAB.name)["eve"].needs_look
    write(
        known,
        [msgspec.structs.replace(eve, task=msgspec.structs.replace(eve.task, received=class_data.NOON))],
    )
    assert gradebook.read_scores(known, LAB.name)["eve"].needs_look, "another version needs another review"


def test_tampering_earns_nothing_whatever_the_tests_said(known: Course) -> None:
    write(known, [class_data.result("eve", Verdict.TAMPER, (2, 1, 2))])
    assert gradebook.read_scores(known, LAB.name)["eve"].score == 0


def test_our_fault_never_touches_a_mark(known: Course) -> None:
    write(known, [class_data.result("hal", Verdict.PARTIAL, (2, 1, 0))])
    before = dump(known.folder / "gradebook.db")
    write(known, [one for one in class_data.all_results() if one.task.student == "hal"])
    assert dump(known.folder / "gradebook.db") == before
    assert gradebook.read_results(known, LAB.name)["hal"].earned == 3
    assert gradebook.read_unmarked(known, LAB.name)["hal"].problem == "the cluster did not start"
    write(known, [class_data.result("hal")])
    assert gradebook.read_unmarked(known, LAB.name) == {}


@pytest.mark.parametrize("earned", [math.nan, math.inf, -1.0, 2.0**53 + 2, 2.5])
def test_what_is_no_mark_is_refused_and_the_others_are_written(known: Course, earned: float) -> None:
    bad = class_data.result("ada", earned=(earned, 1, 2))
    written = write(known, [bad, class_data.result("bob")])
    assert written.marked == ("bob",)
    assert "submit-tests" in dict(written.unmarked)["ada"]
    assert set(gradebook.read_scores(known, LAB.name)) == {"bob"}


def test_a_result_that_does_not_fit_is_refused() -> None:
    good = class_data.result("ada")
    for changes, says in (
        ({"lab_digest": "e" * 64}, "another version of the lab"),
        ({"marks": good.marks[:2]}, "no mark for wait-hidden-tests"),
        ({"marks": (*good.marks, good.marks[0])}, "twice"),
        ({"marks": (*good.marks[:2], Mark(test="x", task="x", points=2, earned=2))}, "twice, or one that"),
        ({"task": msgspec.structs.replace(good.task, lab="ex02-other")}, "a result of ex02-other"),
        ({"task": msgspec.structs.replace(good.task, received=math.nan)}, "time of receipt"),
    ):
        assert says in find_refusal(msgspec.structs.replace(good, **changes), LAB)
    assert find_refusal(good, LAB) == ""


def test_two_results_of_one_student_are_a_mistake(known: Course) -> None:
    with pytest.raises(GradingError, match="two results for ada"):
        write(known, [class_data.result("ada"), class_data.result("ada", number=2)])


def test_changes_are_shown_before_anything_is_written(known: Course) -> None:
    write(known, [class_data.result("ada"), class_data.result("bob", Verdict.PARTIAL, (2, 1, 0))])
    by_hand(known, "bob", manual_score=1.0)
    before = dump(known.folder / "gradebook.db")
    new = [
        class_data.result("bob"),
        class_data.result("ada"),
        class_data.result("cyd", Verdict.FAIL, (0, 0, 0)),
    ]
    found = gradebook.changes(known, LAB, [*new, class_data.all_results()[5]])
    assert [(one.student, one.task, one.old, one.new, one.by_hand) for one in found] == [
        ("bob", "wait", 0, 2, 1.0),
        ("cyd", "submit", None, 0, None),
        ("cyd", "wait", None, 0, None),
        ("cyd", "wait", None, 0, None),
    ]
    assert dump(known.folder / "gradebook.db") == before


def test_lateness_follows_the_settings_of_now(known: Course) -> None:
    results = [class_data.result("bob", received=class_data.NOON + 7200)]
    write(known, results)
    [before] = rows(known.folder / "gradebook.db", "select late_submission_penalty from submitted_notebook")
    more = class_data.SETTINGS + (
        '\n[[extension]]\nstudent = "bob"\nlab = "ex01-jobs"\nuntil = 2026-12-01T13:00:00\nreason = "ill"\n'
    )
    kinder = class_data.course(known.folder, more)
    lateness = gradebook.apply_lateness(kinder, LAB.name, class_data.receipts(results))
    [after] = rows(known.folder / "gradebook.db", "select late_submission_penalty from submitted_notebook")
    assert before == (0.5,) and after == (None,) and lateness["bob"].description == "on time"


# ---- one writer, many readers, and crashes ------------------------------------------------------


def test_a_second_writer_waits_and_says_for_what(known: Course) -> None:
    with (
        locks.held(known.folder / database.LOCK, "x", seconds=1),
        pytest.raises(DeadlineExceeded, match="gradebook"),
        database.writing(known.folder, "hpclab", seconds=0.05),
    ):
        pass


def test_readers_see_the_old_marks_until_all_are_there(known: Course) -> None:
    write(known, [class_data.result("ada", Verdict.FAIL, (0, 0, 0))])
    with database.writing(known.folder, "hpclab") as book:
        book.find_grade("submit-tests", LAB.name, LAB.name, "ada").auto_score = 2.0
        book.db.flush()
        assert gradebook.read_scores(known, LAB.name)["ada"].score == 0
    assert gradebook.read_scores(known, LAB.name)["ada"].score == 2


def test_a_mistake_half_way_leaves_all_as_it_was(known: Course) -> None:
    write(known, [class_data.result("ada")])
    before = dump(known.folder / "gradebook.db")
    with pytest.raises(ZeroDivisionError), database.writing(known.folder, "hpclab") as book:
        book.find_grade("submit-tests", LAB.name, LAB.name, "ada").auto_score = 1.0
        book.db.flush()
        raise ZeroDivisionError
    assert dump(known.folder / "gradebook.db") == before


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy.orm import object_session
from hpclab.grading import gradebook
from hpclab.grading.gradebook import folders, penalties
from tests import class_data
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def flush_and_die(course, lab, submissions, receipts):
    object_session(submissions["ada"]).flush()
    die()
known = class_data.course(Path(sys.argv[1]))
if sys.argv[2] == "commit":
    penalties.apply_penalties = flush_and_die  # every mark is with SQLite by then
else:
    folders.write_result = die
results = class_data.all_results()
gradebook.write(known, class_data.lab(), results, class_data.receipts(results))
"""


@pytest.mark.parametrize("when", ["commit", "files"])
def test_a_writer_that_is_killed_leaves_nothing_half_written(known: Course, root: Path, when: str) -> None:
    old = class_data.result("ada", Verdict.PARTIAL, (2, 1, 0))
    write(known, [old])
    before = gradebook.read_scores(known, LAB.name)
    program = [sys.executable, "-W", "ignore", "-c", KILLED, str(known.folder), when]
    killed = subprocess.run(program, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    there = gradebook.read_scores(known, LAB.name)
    if when == "commit":
        assert there == before
    else:
        assert there["ada"].score == 5 and len(there) == 8
        assert not gradebook.scores_match(gradebook.read_results(known, LAB.name)["ada"], there["ada"], LAB)
    assert rows(known.folder / "gradebook.db", "pragma integrity_check") == [("ok",)]
    write(known, class_data.all_results())
    there = gradebook.read_scores(known, LAB.name)
    assert len(there) == 8 and there["ada"].score == 5
    assert gradebook.scores_match(gradebook.read_results(known, LAB.name)["ada"], there["ada"], LAB)


def test_no_gradebook_yet_says_which_command_makes_one(tmp_path: Path) -> None:
    with pytest.raises(GradingError, match="no marks") as caught:
        gradebook.read_scores(class_data.course(tmp_path), LAB.name)
    assert "hpclab release LAB" in caught.value.remedy


def test_a_database_of_another_version_names_the_cure(known: Course) -> None:
    with sqlite3.connect(known.folder / "gradebook.db") as connection:
        connection.execute("alter table submitted_notebook drop column late_submission_penalty")
    connection.close()
    with pytest.raises(GradingError) as caught:
        write(known, [class_data.result("ada")])
    assert "nbgrader db upgrade" in caught.value.remedy


# ---- the notebook that the formgrader shows -----------------------------------------------------


def test_the_instructor_s_view_has_all_tests_and_nothing_that_runs(known: Course) -> None:
    write(known, class_data.all_results(), submitted=lambda one: one.executed.encode())
    place = known.folder / "autograded/mia" / LAB.name
    text = (place / f"{LAB.name}.ipynb").read_text()
    shown = class_data.nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    class_data.nbformat.validate(shown)
    found = {cell.id: cell for cell in shown.cells}
    assert "SECRET of the hidden test" in found["wait-hidden-tests"].source
    assert "0 of 2 points" in found["submit-tests"].outputs[0].text
    assert "Found: job 12 ended FAILED (mia)" in found["submit-tests"].outputs[0].text
    kinds = {
        key for cell in shown.cells for output in cell.get("outputs", []) for key in output.get("data", {})
    }
    assert kinds == {"image/png", "text/plain"}
    assert {output.output_type for cell in shown.cells for output in cell.get("outputs", [])} <= {
        "stream",
        "display_data",
    }
    assert "\\u001b" not in text and "\\u202e" not in text
    assert "SECRET" not in (known.folder / f"release/{LAB.name}/{LAB.name}.ipynb").read_text()


def test_a_learner_s_own_cells_stand_where_they_stood_and_stay_text() -> None:
    notebook = msgspec.json.decode(class_data.executed(class_data.SOLVED))
    at = next(number for number, cell in enumerate(notebook["cells"]) if cell["id"] == "submit-run")
    bad = "```\n<script>alert(1)</script>\n````"
    notebook["cells"].insert(
        at + 1, {"id": 'x" onload="', "cell_type": "markdown", "metadata": {}, "source": bad}
    )
    result = class_data.result("ada", executed=msgspec.json.encode(notebook).decode())
    shown = class_data.nbformat.reads(folders.autograded.build_notebook(result, LAB), as_version=4)  # type: ignore[no-untyped-call]
    names = [cell.id for cell in shown.cells]
    assert names.index("own-1") == names.index("submit-run") + 1
    assert shown.cells[names.index("own-1")].source == f"`````text\n{bad}\n`````"
    assert shown.cells[names.index("submit-run")].source == "job = 12"


@pytest.mark.parametrize(
    "executed", ["", "{", "[]", '{"cells": 3}', '{"cells": [3, {"id": 4, "source": 5}]}', "[" * 99999]
)
def test_whatever_the_learner_s_notebook_is_there_is_one_to_show(executed: str) -> None:
    text = folders.autograded.build_notebook(class_data.result("ada", executed=executed), LAB)
    class_data.nbformat.validate(class_data.nbformat.reads(text, as_version=4))  # type: ignore[no-untyped-call]
