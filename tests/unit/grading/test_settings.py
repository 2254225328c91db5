"""A class's settings: what may stand there, what is wrong with the rest, and what ids are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpclab.errors import GradingError, UsageError
from hpclab.grading import settings, settings_file
from hpclab.grading.settings import Alias, Student
from hpclab.grading.submissions import student_ids

GOOD = """
title = "HPC"
zone = "Europe/Berlin"
[labs.ex01]
opens = 2026-10-01T08:00:00
due = 2026-10-14T23:59:59
closes = 2026-10-21T23:59:59
[labs.ex02]
[late]
policy = "percent"
percent_per_day = 10
[[extension]]
student = "ada"
lab = "ex01"
until = 2026-10-30T12:00:00
reason = "ill"
[[student]]
id = "ada"
name = "Ada Lovelace"
account = "al1815"
lms = "12345"
[[student]]
id = "bob"
"""


def load(tmp_path: Path, text: str) -> settings.Course:
    (tmp_path / "settings.toml").write_text(text)
    return settings.load(tmp_path)


def test_deadlines_are_meant_in_the_class_s_zone_and_extensions_move_them(tmp_path: Path) -> None:
    found = load(tmp_path, GOOD)
    due = found.due("ex01", "bob")
    assert due is not None
    assert found.format_time(due) == "2026-10-14 23:59:59 CEST (Europe/Berlin)"
    extended = found.due("ex01", "ada")
    assert extended is not None and extended == found.closes("ex01", "ada")
    assert found.format_time(extended) == "2026-10-30 12:00:00 CET (Europe/Berlin)"  # winter by then
    assert found.due("ex02", "ada") is found.closes("ex02", "ada") is None
    assert found.due("unknown", "ada") is None
    assert found.late.percent_per_day == 10


def test_an_extension_never_shortens(tmp_path: Path) -> None:
    found = load(tmp_path, GOOD.replace("until = 2026-10-30", "until = 2026-10-02"))
    assert found.due("ex01", "ada") == found.due("ex01", "bob")


def test_people_are_found_by_the_names_of_other_systems(tmp_path: Path) -> None:
    found = load(tmp_path, GOOD)
    assert found.by_account("al1815") == found.by_lms("12345") == found.by_name("al1815") == "ada"
    assert found.by_account("ada") is None  # the file says that her account is another one
    assert found.by_account("bob") == found.by_name("bob") == "bob"
    with pytest.raises(UsageError, match="Did you mean ada"):
        found.student("adda")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('title = "HPC"', "", "missing required field `title`"),
        ("[late]", "[late]\npolici = 1", "unknown field `polici`"),
        ('"percent"', '"precent"', "precent"),
        ("percent_per_day = 10", "percent_per_day = 110", "<= 100"),
        ("Europe/Berlin", "Europe/Atlantis", "there is no time zone"),
        ("Europe/Berlin", "../../etc/passwd", "there is no time zone"),
        ("due = 2026-10-14T23:59:59", "due = 2026-10-14", "datetime"),
        ("due = 2026-10-14T23:59:59", "due = 2026-09-14T23:59:59", "it is due before it opens"),
        ("due = 2026-10-14T23:59:59", "due = 2026-10-25T02:30:00", "comes twice in Europe/Berlin"),
        ("until = 2026-10-30T12:00:00", "until = 2026-03-29T02:30:00", "is skipped in Europe/Berlin"),
        ('student = "ada"', 'student = "eve"', "there is no student 'eve'"),
        ('lab = "ex01"', 'lab = "ex09"', "there is no lab 'ex09'"),
        ('id = "bob"', 'id = "Ada"', "ada and Ada differ in case alone"),
        ('id = "bob"', 'id = "ada"', "belongs to two students"),
        ('id = "bob"', 'id = "al1815"', "student.account: 'al1815' belongs to two students"),
        ('id = "bob"', 'id = "bob"\nlms = "12345"', "student.lms: '12345' belongs to two students"),
        ('id = "bob"', 'id = "../bob"', "it begins with '.'"),
        ("[labs.ex02]", '[labs."a/b"]', "solidus"),
        ("[late]", "[late", "settings.toml: "),
    ],
)
def test_what_is_wrong_is_named_with_the_file_and_a_cure(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in GOOD
    with pytest.raises(GradingError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert str(tmp_path / "settings.toml") in caught.value.problem
    assert says in caught.value.problem
    assert caught.value.remedy


def test_a_class_that_is_not_there_says_how_to_begin_one(tmp_path: Path) -> None:
    with pytest.raises(GradingError, match="hpclab course new"):
        settings.load(tmp_path)


def test_a_new_class_is_read_back_its_comments_are_right_and_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "class"
    path = settings_file.begin(folder, title='The "first"\n\\class\u202e', zone="Asia/Tokyo")
    found = settings.load(folder)
    assert (found.title, found.zone.key) == ('The "first"\n\\class\u202e', "Asia/Tokyo")
    assert folder.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="already a course in"):
        settings_file.begin(folder, title="x", zone="UTC")
    # What stands there as a comment works when the comment sign goes.
    path.write_text(re.sub(r"(?m)^# (?=\[|[a-z_]+ *= )", "", path.read_text()))
    found = settings.load(folder)
    assert list(found.students) == ["ada"] and found.extensions[0].reason.startswith("ill")
    assert found.late.free_days == 3 and list(found.labs) == ["ex01-submit-monitor"]


def test_people_are_added_at_the_end_and_what_is_wrong_is_not_written(tmp_path: Path) -> None:
    load(tmp_path, GOOD)
    found = settings_file.add(tmp_path, [Student(id="eve", name='E\tv"e'), Alias(lms="7", student="eve")])
    assert found.students["eve"].name == 'E\tv"e' and found.by_lms("7") == "eve"
    text = (tmp_path / "settings.toml").read_text()
    assert text.startswith(GOOD.rstrip("\n"))
    with pytest.raises(GradingError, match="differ in case alone"):
        settings_file.add(tmp_path, [Student(id="EVE")])
    assert (tmp_path / "settings.toml").read_text() == text


# ---- ids -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "id", ["a", "ada.lovelace", "x_1", "ada@uni.example", "12345", "_x", "A-b", "a" * 100, "a..b"]
)
def test_ids_of_real_classes_are_taken(id: str) -> None:
    assert student_ids.check_id(id) == id


@pytest.mark.parametrize(
    ("id", "why"),
    [
        ("", "empty"),
        ("a/b", "solidus"),
        ("../a", "begins with '.'"),
        (".", "begins with '.'"),
        ("-rf", "begins with '-'"),
        ("a+b", "plus sign"),
        ("a b", "space"),
        ("a\0", "character 0x0"),
        ("a\n", "character 0xa"),
        ("a" * 101, "101 characters"),
        ("a\u202eb", "right-to-left override"),
        ("a\u200bb", "zero width space"),
        ("\uff41da", "only looks like 'a'"),  # a full-width a: NFKC makes it an a
        ("\u0430da", "cyrillic small letter a"),
        ("añb", "latin small letter n with tilde"),
        ("nul", "device"),
        ("COM1.txt", "device"),
        ("a.", "ends with a dot"),
        ("a*", "asterisk"),
        ("\ud800", "character 0xd800"),
    ],
)
def test_ids_that_mean_something_else_somewhere_are_refused(id: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        student_ids.check_id(id)
    assert str(caught.value).isascii() and str(caught.value).replace("\n", " ").isprintable()


def test_near_names_are_found_whatever_their_case_and_accents() -> None:
    assert student_ids.near("ADA", ["ada", "bob"]) == ["ada"]
    assert student_ids.near("Zoë Müller", ["Zoe Muller", "bob"]) == ["Zoe Muller"]
    assert student_ids.near("zzz", ["ada", "bob"]) == []
