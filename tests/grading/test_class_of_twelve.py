"""Module 01's labs for a class of twelve, through the commands as an instructor gives them, to the report.

Honest people, some who did a part, some who made the mistakes that people make, one who handed in nothing, one
who handed in something else, and three who are hostile. Everybody's mark is known beforehand.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpclab import layout
from hpclab.app.grading.lab_model import lab_of
from hpclab.exercises import source, wrong_answers
from hpclab.exercises.lab_names import list_sources
from tests.grading import classroom
from tests.grading.test_course import answers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

LABS = [
    path
    for path in list_sources(layout.clone_folder() / "notebooks")
    if path.parent.name == "01-slurm-basics"
]
STUDENTS = (
    *("ada", "grace", "katherine"),  # honest
    *("edsger", "niklaus"),  # the first task, the first two tasks
    *("tony", "barbara"),  # wrong answers
    *("nobody", "elsewhere"),  # nothing, another lab's notebook
    *("mallory", "eve", "trudy"),  # hostile
)
# Patches what judges, in the process of its cells; does none of the work.
PATCHES = """
import sys, types
fake = types.ModuleType("hpclab.evidence")
fake.check = lambda *_: None
fake.job = fake.jobs = fake.output = lambda *_, **__: fake
sys.modules["hpclab.evidence"] = fake
import builtins
builtins.AssertionError = type("Nothing", (Exception,), {})
"""
# Does the work first, then everything it may against its cluster.
RAGES = """
import os, signal, subprocess
subprocess.run("scancel -u root; scontrol shutdown; sacctmgr -i delete user root; true", shell=True)
os.kill(-1, signal.SIGKILL)
"""
Marks = dict[str, float]


@pytest.fixture
def hpclab(place: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: object, seconds: float = 3000) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("hpclab"), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "HPCLAB_COURSE": str(place / "class"), "COLUMNS": "150"},
            check=False,
        )

    return run


def handed_in(path: Path, inbox: Path) -> dict[str, Marks]:
    """Lay a folder for each student into ``inbox``; what each must get, by test."""
    exercise, lab, right = source.load(path), lab_of(path), answers(path)
    mistakes = wrong_answers.plan_rounds(wrong_answers.load_all(exercise))
    full = wrong_answers.expected_marks(exercise, [])
    nothing = dict.fromkeys(full, 0.0)
    expected: dict[str, Marks] = {}

    def hand_in(student: str, given: dict[str, str], marks: Marks, *more: str) -> None:
        expected[student] = marks
        for name, data in classroom.files(lab, given, *more).items():
            (inbox / student).mkdir(parents=True)
            (inbox / student / name).write_bytes(data)

    for student in ("ada", "grace", "katherine"):
        hand_in(student, right, full)
    for count, student in enumerate(("edsger", "niklaus"), 1):
        first = list(dict.fromkeys(test.task for test in lab.tests))[:count]
        given = {cell: text for cell, text in right.items() if cell.startswith(tuple(first))}
        hand_in(student, given, {test.id: full[test.id] if test.task in first else 0.0 for test in lab.tests})
    for together, student in zip(mistakes, ("tony", "barbara"), strict=False):
        tried = {name: text for one in together for name, text in one.answers.items()}
        hand_in(student, right | tried, wrong_answers.expected_marks(exercise, together))
    hand_in("mallory", {}, nothing, PATCHES)
    hand_in("eve", right, full, RAGES)
    hand_in("trudy", {}, nothing, "print('Passed: 10 of 10 points.')", PATCHES)
    (inbox / "elsewhere").mkdir()
    other = LABS[LABS.index(path) - 1]
    for data in classroom.files(lab_of(other), answers(other)).values():
        (inbox / "elsewhere" / f"{lab.name}.ipynb").write_bytes(data)
    expected["elsewhere"] = nothing
    return expected


def test_everybody_gets_what_is_due(
    place: Path, hpclab: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    def must(*words: object) -> str:
        done = hpclab(*words)
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    must("course", "new", place / "class", "--zone", "Europe/Berlin")
    people = "".join(f'[[student]]\nid = "{one}"\nname = "{one.title()}"\n' for one in STUDENTS)
    tables = "".join(f"[labs.{path.stem}]\n" for path in LABS)
    (place / "class/settings.toml").write_text(f'title = "Twelve"\nzone = "Europe/Berlin"\n{tables}{people}')
    for path in LABS:
        must("release", path.stem)
        expected = handed_in(path, place / path.stem)
        must("collect", path.stem, place / path.stem, "--from", "folders")
        graded = hpclab("grade", path.stem, "--yes", "--jobs", 4)
        assert graded.returncode == 0, graded.stdout + graded.stderr
        for command in ("report", "feedback"):
            must(command, path.stem)
        must("export", path.stem)
        with (place / f"class/reports/{path.stem}.csv").open() as file:
            totals = {row["student"]: float(row["score"] or 0) for row in csv.DictReader(file)}
        assert totals == {one: sum(expected.get(one, {}).values()) for one in STUDENTS}, graded.stdout
        newest = sorted((place / "class/batches" / path.stem).glob("*/results/*.json"))
        got = {one["task"]["student"]: one for one in (json.loads(file.read_text()) for file in newest)}
        marks = {name: {mark["test"]: mark["earned"] for mark in one["marks"]} for name, one in got.items()}
        assert marks == {name: want for name, want in expected.items() if name != "elsewhere"} | {
            "elsewhere": marks["elsewhere"]
        }
        assert got["elsewhere"]["verdict"] == "BAD_INPUT"
        assert "nobody" in graded.stdout and "nobody" not in got
    must("audit")
