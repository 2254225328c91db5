"""hpclab feedback, export, report, release: what they say, what they leave, what comes first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from hpclab import layout
from hpclab.cli import main
from hpclab.grading import formgrader, gradebook
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.settings import Course
from tests import class_data

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
LAB = class_data.lab()


def hpclab(*words: str) -> Result:
    return CliRunner().invoke(main, words, catch_exceptions=False)


@pytest.fixture(scope="session")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graded") / "class"
    known = class_data.course(folder)
    results = class_data.all_results()
    gradebook.release(known, LAB, class_data.source_notebook())
    gradebook.write(known, LAB, results, class_data.receipts(results))
    return folder


@pytest.fixture
def known(graded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    folder = tmp_path / "class"
    shutil.copytree(graded, folder)
    monkeypatch.setenv("HPCLAB_COURSE", str(folder))
    return class_data.course(folder)


def records(known: Course, kind: str) -> list[dict[str, Any]]:
    return list(Ledger(known.folder).records(kind))


def test_feedback_writes_a_page_each_and_notes_it_once(known: Course) -> None:
    done = hpclab("feedback", "ex01")
    assert done.exit_code == 0, done.output
    assert "ada: feedback/ada/ex01-jobs/ex01-jobs.html" in done.stdout
    assert "No mark, so no page: hal" in done.stderr
    assert len(list(known.folder.glob("feedback/*/ex01-jobs/ex01-jobs.html"))) == 8
    [bob] = [one for one in records(known, "published") if one["student"] == "bob"]
    assert (bob["score"], bob["points"], bob["number"], bob["exchange"]) == (2.7, 5, 1, False)
    assert "as before" in hpclab("feedback", "ex01", "--student", "bob").stdout
    assert len(records(known, "published")) == 8


def test_feedback_says_what_a_person_set_meanwhile(known: Course) -> None:
    hpclab("feedback", "ex01")
    with gradebook.database.writing(known.folder, formgrader.COURSE) as book:
        book.find_grade("wait-hidden-tests", LAB.name, LAB.name, "bob").manual_score = 2.0
        book.find_comment("wait", LAB.name, LAB.name, "bob").manual_comment = "Well argued."
    done = hpclab("feedback", "ex01", "--student", "bob")
    assert "as before" not in done.stdout and done.exit_code == 0
    text = (known.folder / "feedback/bob/ex01-jobs/ex01-jobs.txt").read_text()
    assert "Well argued." in text and "4.5 of 5 points" in text
    assert records(known, "published")[-1]["by_hand"] is True


def test_feedback_refuses_marks_that_were_cut_off(known: Course) -> None:
    with gradebook.database.writing(known.folder, formgrader.COURSE) as book:
        book.find_grade("submit-tests", LAB.name, LAB.name, "ada").auto_score = 1.0
    done = hpclab("feedback", "ex01", "--student", "ada")
    assert (
        done.exit_code == 1
        and "writing them was interrupted" in done.stderr
        and "hpclab grade ex01-jobs" in done.stderr
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["feedback", "ex02"], "names no lab"),
        (["feedback", "ex01", "--student", "adda"], "Did you mean ada?"),
        (["feedback", "ex01", "--student", "zoe"], "there is no mark for zoe"),
        (["feedback", "ex01", "--book", "book.html"], "is not a web address"),
        (["export", "ex01", "ex01-jobs", "--format", "pdf"], "'pdf' is not one of"),
        (["report", "nothing"], "names no lab"),
    ],
)
def test_a_mistake_is_named(known: Course, words: Sequence[str], says: str) -> None:
    done = hpclab(*words)
    assert done.exit_code == 2 and says in done.output, done.output


@pytest.mark.parametrize("command", ["feedback", "export", "report"])
def test_before_there_is_a_mark_the_first_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    class_data.course(tmp_path / "class")
    monkeypatch.setenv("HPCLAB_COURSE", str(tmp_path / "class"))
    done = hpclab(command, "ex01")
    assert done.exit_code == 1
    assert "nothing of ex01-jobs is graded yet" in done.stderr
    assert "hpclab collect ex01-jobs SOURCE, then: hpclab grade ex01-jobs" in done.stderr


def test_export_writes_a_file_and_notes_it(known: Course) -> None:
    done = hpclab("export", "ex01", "--bom")
    path = known.folder / "reports/ex01-jobs.csv"
    assert done.stdout.strip() == str(path) and path.read_bytes().startswith(b"\xef\xbb\xbfstudent,")
    assert "without a mark: hal" in done.stderr and "To review in the formgrader first: eve" in done.stderr
    [note] = records(known, "exported")
    assert (
        note["file"] == "reports/ex01-jobs.csv"
        and note["labs"] == ["ex01-jobs"]
        and len(note["sha256"]) == 64
    )
    done = hpclab("export", "ex01", "--format", "canvas", "--out", str(known.folder / "c.csv"))
    assert done.exit_code == 0 and "Jobs, asked & answered" in (known.folder / "c.csv").read_text()


def test_report_shows_and_writes(known: Course) -> None:
    done = hpclab("report", "ex01", "--names")
    assert done.exit_code == 0, done.output
    for wanted in (
        "8 marked",
        "hidden check",
        "hal: the cluster did not start",
        "eve: review this submission",
        "2.7",
        "zoe",
    ):
        assert wanted in done.stdout
    page = known.folder / "reports/ex01-jobs.html"
    assert str(page) in done.stdout and page.stat().st_mode & 0o777 == 0o600
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout


@pytest.fixture
def course(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one lab."""
    path = tmp_path / "clone/notebooks/01-slurm/ex01-jobs.md"
    path.parent.mkdir(parents=True)
    path.write_text(class_data.TEXT)
    shutil.copytree(root / "autograder", tmp_path / "clone/autograder")
    (tmp_path / "clone/templates").mkdir()
    monkeypatch.setattr(layout, "clone_folder", lambda: tmp_path / "clone")
    return tmp_path / "clone"


def test_release_makes_a_class_that_nbgrader_knows(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "class"
    class_data.course(folder, class_data.SETTINGS.replace("[labs.ex01-jobs]", "[labs.ex09-other]"))
    monkeypatch.setenv("HPCLAB_COURSE", str(folder))
    done = hpclab("release", "01")
    assert done.exit_code == 0, done.output
    assert "release/ex01-jobs/ex01-jobs.ipynb" in done.stdout and "[labs.ex01-jobs]" in done.stderr
    assert formgrader.read_config(folder).course == "hpc-2026-more"
    released = json.loads((folder / "release/ex01-jobs/ex01-jobs.ipynb").read_text())
    source = (folder / "source/ex01-jobs/ex01-jobs.ipynb").read_text()
    assert "SECRET" in source and "SECRET" not in json.dumps(released)
    (folder / formgrader.CONFIG).write_text((folder / formgrader.CONFIG).read_text() + "# mine\n")
    assert hpclab("release", "ex01").exit_code == 0
    assert (folder / formgrader.CONFIG).read_text().endswith("# mine\n"), (
        "the configuration is the instructor's"
    )


def test_release_through_an_exchange(course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, root = tmp_path / "class", tmp_path / "exchange"
    class_data.course(folder)
    monkeypatch.setenv("HPCLAB_COURSE", str(folder))
    hpclab("release", "ex01")
    config = (folder / formgrader.CONFIG).read_text() + f"c.Exchange.root = {str(root)!r}\n"
    (folder / formgrader.CONFIG).write_text(config)
    done = hpclab("release", "ex01", "--exchange")
    assert done.exit_code == 1 and "there is no exchange at" in done.stderr
    root.mkdir()
    root.chmod(0o777)
    for _ in range(2):
        done = hpclab("release", "ex01", "--exchange")
        assert done.exit_code == 0, done.output
    there = root / "hpc-2026-more/outbound/ex01-jobs"
    assert [path.name for path in there.iterdir()] == ["ex01-jobs.ipynb"]
    assert "SECRET" not in (there / "ex01-jobs.ipynb").read_text()
    assert (root / "hpc-2026-more/inbound").stat().st_mode & 0o777 == 0o733


def test_two_labs_of_one_name_are_refused(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_data.course(tmp_path / "class")
    monkeypatch.setenv("HPCLAB_COURSE", str(tmp_path / "class"))
    shutil.copytree(course / "notebooks/01-slurm", course / "notebooks/02-more")
    done = hpclab("release", "01")
    assert done.exit_code == 2 and "have the same name" in done.stderr
    assert not (tmp_path / "class/release").exists()


def test_the_shell_completes_labs_and_students(known: Course) -> None:
    def completed(*words: str) -> list[str]:
        complete = ShellComplete(main, {}, "hpclab", "_HPCLAB_COMPLETE")
        return [one.value for one in complete.get_completions(list(words[:-1]), words[-1])]

    assert completed("feedback", "ex") == ["ex01-jobs"]
    assert completed("export", "") == ["ex01-jobs"]
    assert completed("feedback", "ex01", "--student", "m") == ["mia"]
    assert completed("feedback", "--course", "/nowhere", "") == []


def test_a_broken_configuration_is_named(known: Course) -> None:
    (known.folder / formgrader.CONFIG).write_text("c = get_config()\nc.Exchange.root = 1 / 0\n")
    done = hpclab("report", "ex01")
    assert done.exit_code == 1 and "ZeroDivisionError" in done.stderr and formgrader.CONFIG in done.stderr
