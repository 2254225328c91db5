"""Collecting from every source, by the command: who, when, what is taken, and what is refused and why."""

from __future__ import annotations

import json
import os
import pwd
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hpclab.cli import main
from hpclab.grading import settings, settings_file
from hpclab.grading.records.audit import audit
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.settings import Student
from hpclab.grading.submissions import ipynb, platforms
from hpclab.grading.submissions.collect import CollectOptions, collect
from hpclab.grading.submissions.staging import Submission
from hpclab.grading.submissions.store import Store

NOTEBOOK = json.dumps(
    {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {
                "cell_type": "code",
                "id": "a",
                "source": "1",
                "metadata": {},
                "outputs": [],
                "execution_count": None,
            }
        ],
    }
)
LAB = "ex01-submit-monitor"
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A class with three students; ada has this process's account."""
    folder = tmp_path / "class"
    settings_file.begin(folder, title="T", zone="Europe/Berlin")
    people = [
        Student(id="ada", name="Ada Lovelace", account=ME, email="ada@uni.example", lms="1815"),
        Student(id="bob", name="Bob Müller", account="bobs-account", email="bob@uni.example", hub="bob-hub"),
        Student(id="cy", lms="777"),
    ]
    settings_file.add(folder, people)
    return folder


def labs(course: Path, times: str) -> None:
    path = course / "settings.toml"
    path.write_text(path.read_text() + f"\n[labs.{LAB}]\n{times}\n")


def lay(top: Path, *names: str, text: str = NOTEBOOK) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return top


def run(course: Path, source: Path, *more: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """`hpclab collect --json`: what became of each submission, by its label."""
    done = CliRunner().invoke(main, ["collect", "--course", str(course), "--json", LAB, str(source), *more])
    assert done.exit_code == code, done.output
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert audit(course).problems == ()
    return {one["label"]: one for one in found}


# ---- folders ---------------------------------------------------------------------------------


def test_a_lab_is_found_wherever_learners_have_it(course: Path, tmp_path: Path) -> None:
    top = tmp_path / "homes"
    lay(top, f"ada/{LAB}.ipynb", "ada/job.sh")
    lay(
        top,
        f"bob-hub/01-slurm-basics/{LAB}/{LAB}.ipynb",
        f"bob-hub/01-slurm-basics/{LAB}/job.sh",
        "bob-hub/private.txt",
    )
    lay(top, f"cy/{LAB}/{LAB}.ipynb", "cy/other/other.ipynb")
    found = run(course, top)
    assert {one["student"]: sorted(one["receipt"]["files"]) for one in found.values()} == {
        "ada": [f"{LAB}.ipynb", "job.sh"],
        "bob": [f"{LAB}.ipynb", "job.sh"],  # nothing but the lab
        "cy": [f"{LAB}.ipynb"],
    }


def test_collecting_again_gives_no_new_receipt_and_a_change_gives_one(course: Path, tmp_path: Path) -> None:
    top = lay(tmp_path / "homes", f"ada/{LAB}.ipynb")
    first = run(course, top)["ada"]
    again = run(course, top)["ada"]
    assert (first["what"], again["what"], again["why"]) == ("taken", "unchanged", "as in receipt 1")
    assert again["receipt"] == first["receipt"]
    lay(top, f"ada/{LAB}.ipynb", text=NOTEBOOK + " ")
    assert run(course, top)["ada"]["receipt"]["number"] == 2
    assert len(list(Ledger(course).records("received"))) == 2


def test_what_is_not_there_is_said_and_gives_no_receipt(course: Path, tmp_path: Path) -> None:
    top = lay(tmp_path / "homes", "ada/notes.txt", f"eve/{LAB}.ipynb", f"Bob/{LAB}.ipynb", "readme")
    (top / "cy").symlink_to(tmp_path)
    found = run(course, top, code=1)
    assert {label: (one["what"], one["why"]) for label, one in found.items()} == {
        "ada": ("refused", f"there is no {LAB}.ipynb in it"),
        "eve": ("refused", "the course has no student 'eve'"),
        "Bob": ("refused", "the course has no student 'Bob'; similar: bob"),
        "cy": ("refused", "it is not a folder"),
        "readme": ("refused", "it is not a folder"),
    }
    assert Store(course).receipts() == []


def test_strangers_are_added_only_when_asked_for_and_only_with_good_ids(course: Path, tmp_path: Path) -> None:
    names = ["eve", "EVE", "dan+1", "BOB", "x\u202ey"]
    top = lay(tmp_path / "homes", *(f"{name}/{LAB}.ipynb" for name in names))
    found = run(course, top, "--add", code=1)
    why = {label: one["why"] for label, one in found.items() if one["what"] == "refused"}
    assert set(why) == {"eve", "dan+1", "BOB", "'x\\u202ey'"}  # EVE comes first
    assert "differs in case alone" in why["eve"] and "differs in case alone" in why["BOB"]
    assert "plus sign" in why["dan+1"] and "right-to-left" in why["'x\\u202ey'"]
    assert "EVE" in settings.load(course).students


def test_a_hostile_folder_gets_a_receipt_for_what_is_honest_in_it(course: Path, tmp_path: Path) -> None:
    top = lay(tmp_path / "homes", f"ada/{LAB}.ipynb", f"bob/{LAB}/job.sh")
    (top / "ada/passwd").symlink_to("/etc/passwd")
    os.mkfifo(top / f"bob/{LAB}/{LAB}.ipynb")
    found = run(course, top)
    assert found["ada"]["receipt"]["notes"] == ["'passwd' was not taken: it is a link"]
    assert found["bob"]["receipt"]["notes"] == [
        "there is no notebook in it",
        f"'{LAB}.ipynb' was not taken: it is a FIFO",
    ]


def test_a_notebook_that_cannot_be_read_is_told_at_once(course: Path, tmp_path: Path) -> None:
    top = lay(tmp_path / "homes", f"ada/{LAB}.ipynb", text='{"cells": [')
    [note] = run(course, top)["ada"]["receipt"]["notes"]
    assert note.startswith(f"it cannot be graded: {LAB}.ipynb is not JSON")


def test_one_that_breaks_the_reader_keeps_nobody_else_from_being_received(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = lay(tmp_path / "homes", f"ada/{LAB}.ipynb", f"cy/{LAB}.ipynb")
    lay(top, f"bob-hub/{LAB}.ipynb", text='{"cells": [{"cell_type": "code", "source": ' + "7" * 5000 + "}]}")
    found = {one["student"]: one for one in run(course, top).values()}
    assert {one["what"] for one in found.values()} == {"taken"} and len(found) == 3
    assert "cannot be graded" in found["bob"]["receipt"]["notes"][0]

    def broken(data: bytes, name: str) -> list[object]:
        if b"777" in data:
            raise ZeroDivisionError("unforeseen")
        return []

    monkeypatch.setattr(ipynb, "read", broken)
    lay(top, f"cy/{LAB}.ipynb", text=NOTEBOOK + "  ")
    lay(top, f"bob-hub/{LAB}.ipynb", text="777 ")
    found = {one["student"]: one for one in run(course, top, code=1).values()}
    assert found["bob"]["what"] == "refused" and "ZeroDivisionError: unforeseen" in found["bob"]["why"]
    assert found["cy"]["what"] == "taken"


def test_going_back_to_an_earlier_version_is_a_version(course: Path, tmp_path: Path) -> None:
    top = tmp_path / "homes"
    numbers = []
    for text in (NOTEBOOK, NOTEBOOK + " ", NOTEBOOK):
        lay(top, f"ada/{LAB}.ipynb", text=text)
        numbers.append(run(course, top)["ada"]["receipt"]["number"])
    assert numbers == [1, 2, 3]


def test_the_only_notebook_gets_its_name_back_and_of_several_none_is_chosen_here(
    course: Path, tmp_path: Path
) -> None:
    top = lay(tmp_path / "homes", f"ada/{LAB} (1).ipynb", f"cy/{LAB} (1).ipynb", f"cy/{LAB} (2).ipynb")
    found = run(course, top)
    assert list(found["ada"]["receipt"]["files"]) == [f"{LAB}.ipynb"]
    assert list(found["cy"]["receipt"]["files"]) == [f"{LAB} (1).ipynb", f"{LAB} (2).ipynb"]
    assert {one["what"] for one in run(course, top).values()} == {"unchanged"}


def test_collecting_again_writes_a_receipts_text_that_a_crash_left_out(course: Path, tmp_path: Path) -> None:
    top = lay(tmp_path / "homes", f"ada/{LAB}.ipynb")
    run(course, top, "--received", "now")
    text = course / f"receipts/{LAB}/ada/1.txt"
    before = text.read_text()
    text.unlink()
    assert run(course, top, "--received", "now")["ada"]["what"] == "unchanged"
    assert text.read_text() == before


# ---- time ------------------------------------------------------------------------------------


def test_without_a_trusted_time_somebody_has_to_say_one(course: Path, tmp_path: Path) -> None:
    labs(course, "due = 2026-01-10T23:59:59\ncloses = 2026-01-20T23:59:59")
    top = lay(tmp_path / "homes", f"ada/{LAB}.ipynb")
    os.utime(top / f"ada/{LAB}.ipynb", (0, 0))  # the file's own word does not count
    done = CliRunner().invoke(main, ["collect", "--course", str(course), LAB, str(top)])
    assert done.exit_code == 2 and "--received" in done.output
    assert "refused" in run(course, top, "--received", "now", code=1)["ada"]["what"]
    one = run(course, top, "--received", "2026-01-10T23:59:59")["ada"]
    assert one["late"] == "on time"
    assert (
        settings.load(course).format_time(one["receipt"]["received"])
        == "2026-01-10 23:59:59 CET (Europe/Berlin)"
    )
    assert "2026-01-10 23:59:59 CET" in (course / f"receipts/{LAB}/ada/1.txt").read_text()


@pytest.mark.parametrize(("seconds", "late"), [(0, "on time"), (1, "1 second late")])
def test_the_deadline_is_decided_by_the_receipt(
    course: Path, tmp_path: Path, seconds: int, late: str
) -> None:
    labs(course, "due = 2026-01-10T23:59:59")
    top = lay(tmp_path / "homes", f"ada/{LAB}.ipynb")
    found = settings.load(course)
    due = found.due(LAB, "ada")
    assert due is not None
    [one] = collect(
        found, LAB, top, "folders", CollectOptions(now=lambda: due + seconds, received=due + seconds)
    )
    assert one.late == late


def test_after_closing_only_an_extension_helps(course: Path, tmp_path: Path) -> None:
    labs(course, "closes = 2026-01-10T23:59:59")
    top = lay(tmp_path / "homes", f"ada/{LAB}.ipynb", f"cy/{LAB}.ipynb")
    path = course / "settings.toml"
    path.write_text(
        f'{path.read_text()}\n[[extension]]\nstudent = "cy"\nlab = "{LAB}"\nuntil = 2026-02-01T00:00:00\nreason = "ill"\n'
    )
    found = run(course, top, "--received", "2026-01-15T12:00:00", code=1)
    assert found["cy"]["what"] == "taken"
    assert "the lab closed at 2026-01-10 23:59:59 CET (Europe/Berlin)" in found["ada"]["why"]


# ---- nbgrader's exchange ---------------------------------------------------------------------


def submitted(inbound: Path, name: str, *, text: str = NOTEBOOK) -> Path:
    return lay(inbound, f"{name}/{LAB}.ipynb", f"{name}/timestamp.txt", text=text) / name


def test_every_version_in_an_exchange_is_taken_with_the_file_server_s_time(
    course: Path, tmp_path: Path
) -> None:
    exchange = tmp_path / "exchange/hpc"
    inbound = exchange / "inbound"
    first = submitted(inbound, f"ada+{LAB}+2020-01-01 10:00:00.000000 UTC+c2Vj")
    second = submitted(inbound, f"ada+{LAB}+2020-01-02 10:00:00.000000 UTC", text=NOTEBOOK + " ")
    submitted(inbound, "ada+ex02+2020-01-01 10:00:00.000000 UTC+c2Vj")
    for path in (first, second):
        os.utime(path / f"{LAB}.ipynb", (1, 1))
        os.utime(path, (1, 1))
    before = time.time()
    found = run(course, exchange)
    assert {label: one["receipt"]["number"] for label, one in found.items()} == {
        first.name: 1,
        second.name: 2,
    }
    for one in found.values():
        assert before - 60 < one["receipt"]["received"] <= time.time()  # not 2020, not 1970
        assert list(one["receipt"]["files"]) == [f"{LAB}.ipynb"]
        assert one["receipt"]["notes"][0].startswith("its name says 2020-01-0")
    assert {one["what"] for one in run(course, inbound).values()} == {"unchanged"}
    # The first version submitted once more, after the second: that is a version of its own.
    submitted(inbound, f"ada+{LAB}+2020-01-03 10:00:00.000000 UTC+c2Vj")
    assert [one["what"] for one in run(course, inbound).values()] == ["unchanged", "unchanged", "taken"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("bob", "its name says 'bob', but it belongs to the account"),
        ("eve", "its name says 'eve', but it belongs to the account"),
        ("bob+ada", "its name says 'bob+ada'"),
        ("", "its name says ''"),
    ],
)
def test_whose_it_is_says_the_file_system_not_the_name(
    course: Path, tmp_path: Path, name: str, why: str
) -> None:
    folder = submitted(tmp_path / "inbound", f"{name}+{LAB}+2026-01-01 10:00:00.000000 UTC+c2Vj")
    one = run(course, tmp_path / "inbound", "--add", code=1)[folder.name]
    assert (one["what"], one["student"]) == ("refused", "")
    assert why in one["why"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_others_files_in_a_submission_and_owners_without_a_name(course: Path, tmp_path: Path) -> None:
    inbound = tmp_path / "inbound"
    mixed = submitted(inbound, f"ada+{LAB}+2026-01-01 10:00:00.000000 UTC+c2Vj")
    (mixed / "planted.py").write_text("")
    os.chown(mixed / "planted.py", 54321, -1)
    nobody = submitted(inbound, f"cy+{LAB}+2026-01-01 10:00:00.000000 UTC+c2Vj")
    os.chown(nobody, 54321, -1)
    found = run(course, inbound, code=1)
    assert list(found[mixed.name]["receipt"]["files"]) == [f"{LAB}.ipynb"]
    assert "'planted.py' was not taken: it belongs to another user" in found[mixed.name]["receipt"]["notes"]
    assert "its owner is uid 54321" in found[nobody.name]["why"]


def test_links_in_an_exchange_are_not_followed(course: Path, tmp_path: Path) -> None:
    elsewhere = submitted(tmp_path / "elsewhere", "work")
    (tmp_path / "inbound").mkdir()
    link = tmp_path / f"inbound/ada+{LAB}+2026-01-01 10:00:00.000000 UTC+c2Vj"
    link.symlink_to(elsewhere)
    assert run(course, tmp_path / "inbound", code=1)[link.name]["why"] == "it is a link, not a folder"


def test_names_that_are_no_text_are_told_as_well_as_they_can_be(course: Path, tmp_path: Path) -> None:
    inbound = tmp_path / "inbound"
    inbound.mkdir()
    odd = os.fsdecode(os.fsencode(inbound) + f"/ada+{LAB}+x\x1b[31m".encode() + b"\xff")
    lay(Path(odd), f"{LAB}.ipynb")
    [(label, one)] = run(course, inbound).items()
    assert label.isascii() and label.isprintable() and "\\x1b" in label and "\\udcff" in label
    assert one["receipt"]["source"] == f"exchange: {label}"
    lay(Path(os.fsdecode(os.fsencode(tmp_path) + b"/homes/\xff")), f"{LAB}.ipynb")
    assert "has no student" in run(course, tmp_path / "homes", code=1)["'\\udcff'"]["why"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_that_comes_to_belong_to_another_is_not_entered(course: Path, tmp_path: Path) -> None:
    folder = submitted(tmp_path / "inbound", f"ada+{LAB}+2026-01-01 10:00:00.000000 UTC+c2Vj")
    (folder / "sub").mkdir()
    os.chown(folder / "sub", 54321, -1)
    notes = run(course, tmp_path / "inbound")[folder.name]["receipt"]["notes"]
    assert "'sub' was not taken: it belongs to another user" in notes


# ---- learning platforms ----------------------------------------------------------------------


def zipped(path: Path, names: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, text in names.items():
            out.writestr(name, text)
    return path


def test_canvas_names_say_whose_by_number_and_what_is_late(course: Path, tmp_path: Path) -> None:
    download = zipped(
        tmp_path / "submissions.zip",
        {
            f"lovelaceada_1815_901_{LAB}-1.ipynb": NOTEBOOK,
            "lovelaceada_1815_902_job script.sh": "x",
            f"müller_b_LATE_777_903_{LAB}.ipynb": NOTEBOOK + " ",
            "doejane_555_904_x.ipynb": NOTEBOOK,
            f"LATE_anon_ab12C_905_{LAB}.ipynb": NOTEBOOK,
            "readme.txt": "x",
        },
    )
    labs(course, "due = 2026-01-10T23:59:59")
    found = run(course, download, "--received", "2026-01-10T20:00:00", code=1)
    ada, cy = found["lovelaceada (1815)"], found["müller_b (777)"]
    assert (ada["student"], ada["late"], sorted(ada["receipt"]["files"])) == (
        "ada",
        "on time",
        [f"{LAB}.ipynb", "job script.sh"],
    )
    assert ada["receipt"]["notes"] == [f"'{LAB}-1.ipynb' was kept as {LAB}.ipynb"]
    assert (
        cy["student"] == "cy"
        and "late" in cy["late"]
        and "Canvas marked it as late" in cy["receipt"]["notes"]
    )
    assert found["doejane (555)"]["why"] == "the course has no student with the number 555"
    assert "anonymously" in found[f"LATE_anon_ab12C_905_{LAB}.ipynb"]["why"]
    assert found["readme.txt"]["why"] == "it is not named as Canvas names files"


@pytest.mark.parametrize(
    "name",
    [
        f"x_777_1815_901_{LAB}.ipynb",  # somebody whose sortable name is "x_777"
        f"x_777_888_y_1815_901_{LAB}.ipynb",
        f"lovelaceada_1815_901_777_888_{LAB}.ipynb",  # a file called so
        f"x_LATE_777_888_LATE_1815_901_{LAB}.ipynb",
    ],
)
def test_a_name_made_to_be_read_as_another_student_s_is_refused(
    course: Path, tmp_path: Path, name: str
) -> None:
    top = lay(tmp_path / "download", name)
    one = run(course, top, "--from", "canvas", code=1)[name]
    assert (one["student"], one["what"]) == ("", "refused")
    assert "ambiguous" in one["why"]


def test_moodle_downloads_with_folders_and_without(course: Path, tmp_path: Path) -> None:
    top = tmp_path / "download"
    lay(top, f"Ada Lovelace_1815_assignsubmission_file_/{LAB}.ipynb")
    lay(top, "Ada Lovelace_1815_assignsubmission_onlinetext_/onlinetext.html")
    lay(top, f"Cy_777_assignsubmission_file_{LAB}.ipynb", "Cy_777_assignsubmission_file_a_b.sh")
    lay(top, f"Bob Müller_42_assignsubmission_file/{LAB}.ipynb", text=NOTEBOOK + " ")
    found = run(course, top, code=1)
    assert {one["student"]: sorted(one["receipt"]["files"]) for one in found.values() if one["receipt"]} == {
        "ada": [f"{LAB}.ipynb"],
        "cy": ["a_b.sh", f"{LAB}.ipynb"],
    }
    # A name that a person can change never says who it is; it only helps to ask.
    assert found["Bob Müller (42)"]["why"] == "the course has no student with the number 42; similar: bob"
    sheet = tmp_path / "Grades.csv"
    sheet.write_text(
        'Identifier,"Full name","Email address",Status\n"Participant 42","Bob Müller",Bob@Uni.example,-\n'
        '"Participant 43","ada@uni.example",eve@uni.example,-\n',
        encoding="utf-8-sig",
    )
    assert run(course, top, "--worksheet", str(sheet))["Bob Müller (42)"]["student"] == "bob"


def test_a_worksheet_counts_addresses_only_never_the_name(course: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "g.csv"
    sheet.write_text(
        "Identifier,Name,Mail\nTeilnehmer 9,ada@uni.example,x@y\nTeilnehmer 8,x,ada@uni.example\n"
    )
    assert platforms.read_worksheet(sheet, settings.load(course)) == {"8": "ada"}


def test_who_is_asked_for_is_remembered(course: Path, tmp_path: Path) -> None:
    top = lay(tmp_path / "d", f"muellerbob_42_1_{LAB}.ipynb")
    asked = []

    def ask(found: Submission, close: list[str]) -> str:
        asked.append((found.lms, close))
        return "bob"

    [one] = collect(settings.load(course), LAB, top, "canvas", CollectOptions(ask=ask))
    assert (one.student, asked) == ("bob", [("42", asked[0][1])])
    assert run(course, top)["muellerbob (42)"]["what"] == "unchanged"


def test_two_submissions_of_one_student_in_one_download_are_for_a_person_to_sort(
    course: Path, tmp_path: Path
) -> None:
    top = lay(tmp_path / "homes", f"bob/{LAB}.ipynb", f"bob-hub/{LAB}.ipynb", f"ada/{LAB}.ipynb")
    found = run(course, top, code=1)
    assert found["bob"]["why"] == found["bob-hub"]["why"] == "two submissions in this source are from bob"
    assert found["ada"]["what"] == "taken"


def test_an_archive_of_folders_is_collected_and_what_was_left_out_is_on_the_receipt(
    course: Path, tmp_path: Path
) -> None:
    archive = zipped(
        tmp_path / "class.zip",
        {
            f"autumn/ada/{LAB}.ipynb": NOTEBOOK,
            "autumn/ada/x\\y": "x",
            f"autumn/cy/{LAB}/{LAB}.ipynb": NOTEBOOK,
            "../../evil": "x",
        },
    )
    found = run(course, archive, code=1)
    assert found["ada"]["receipt"]["notes"] == ["'ada/x\\\\y' was not taken: its path is a Windows path"]
    assert found["cy"]["what"] == "taken"
    assert found["../../evil"]["why"] == "its path leaves the folder"
    assert not (course / ".staging").exists()


# ---- the commands ----------------------------------------------------------------------------


def invoke(*argv: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(argv))
    return done.exit_code, done.output


def test_from_a_new_class_to_a_receipt_and_an_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "class"
    monkeypatch.setenv("HPCLAB_COURSE", str(folder))
    assert invoke("course", "new", "--zone", "Europe/Berlin")[0] == 0
    assert "there is no time zone" in invoke("course", "new", str(tmp_path / "b"), "--zone", "Mars")[1]
    code, said = invoke("course", "show")
    assert code == 0 and "0 students, times in Europe/Berlin" in said
    top = lay(tmp_path / "homes", f"ada/{LAB}.ipynb")
    code, said = invoke("collect", "01/ex01", str(top), "--add")
    assert code == 0, said
    assert "1 taken, 0 unchanged, 0 refused. Not in this source: none." in said
    code, said = invoke("course", "receipt", LAB, "ada")
    [receipt] = Store(folder).receipts()
    assert code == 0 and f"content   sha256:{receipt.hash}" in said and "(Europe/Berlin)" in said
    code, said = invoke("audit", "--student", "ada")
    assert code == 0 and "received" in said and "All records agree: 1 records." in said
    head = audit(folder).head
    assert head in said
    assert invoke("audit", "--head", head)[0] == 0
    assert invoke("audit", "--head", "0" * 64)[0] == 1
    file = folder / "objects" / receipt.hash / "files" / f"{LAB}.ipynb"
    file.chmod(0o600)
    file.write_text("{}")
    code, said = invoke("audit")
    assert code == 1 and f"{LAB}.ipynb is not what was received" in said.replace("\n", "")
    assert invoke("course", "receipt", LAB, "ada")[0] == 1
    assert json.loads(invoke("audit", "--json")[1])["records"] == 1


def test_a_lab_that_the_class_does_not_have_is_refused(course: Path, tmp_path: Path) -> None:
    labs(course, "")
    (tmp_path / "d").mkdir()
    code, said = invoke("collect", "--course", str(course), "ex9", str(tmp_path / "d"))
    assert code == 2 and f"'ex9' names no lab\nValid:\n    01-slurm-basics/{LAB}" in said
    code, said = invoke("collect", "--course", str(course), "ex01", str(tmp_path / "d"))
    assert code == 0 and f"The source has no submissions of {LAB}." in said
