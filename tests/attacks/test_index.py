"""Every attack has its expectation, every kind is there, and the list of them is true."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hpclab.grading.model import Verdict
from tests.attacks import index, material
from tests.attacks.material import Attack

EVERY = material.attacks()


def test_there_are_enough_of_every_kind() -> None:
    assert len(EVERY) >= 60
    kinds = [one.kind for one in EVERY]
    assert {kind for kind in kinds} == set(material.KINDS)
    assert all(kinds.count(kind) >= 6 for kind in material.KINDS)


def test_no_folder_is_left_out() -> None:
    folders = {path.name for path in material.HERE.iterdir() if path.is_dir() and "-" in path.name}
    assert folders == {one.name for one in EVERY}


@pytest.mark.parametrize("attack", EVERY, ids=lambda one: one.name)
def test_an_attack_says_what_must_come_of_it(attack: Attack) -> None:
    lab = material.lab(attack.lab, {})
    assert set(attack.verdicts) <= {*Verdict, material.REFUSED}
    assert Verdict.SYSTEM_ERROR not in attack.verdicts, "no learner may bring that about"
    assert set(attack.marks) == set(lab.full)
    for task, points in attack.marks.items():
        each = points if isinstance(points, list) else [points]
        assert all(0 <= one <= lab.full[task] for one in each)
    assert len(attack.tries) > 10 and len(attack.naive) > 20
    assert set(attack.answers) <= set(lab.answers)
    assert attack.answers or (attack.path / "make.py").is_file(), "it does nothing"
    if attack.verdicts in (["TAMPER"], ["BAD_INPUT"]):
        assert set(attack.marks.values()) == {0}


@pytest.mark.parametrize("attack", EVERY, ids=lambda one: one.name)
def test_an_attack_does_not_give_itself_away(attack: Attack) -> None:
    """What is looked for in the results must not be there because the attacker's own text holds it."""
    for path in attack.path.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "got-" + "through" not in text, path
            assert "planted" + "-" not in text, path


@pytest.mark.parametrize(
    "attack", [one for one in EVERY if (one.path / "make.py").is_file()], ids=lambda one: one.name
)
def test_what_cannot_lie_in_git_can_be_made(attack: Attack, tmp_path: Path) -> None:
    lab = material.lab(attack.lab, {}, secret=tmp_path / "secret", canary=tmp_path / "canary")
    (tmp_path / "secret").write_text("x")
    if attack.slow:
        ast.parse((attack.path / "make.py").read_text())  # made in the real run only: it takes its time
        return
    assert material.hand_in(attack, lab, tmp_path / "handed-in").exists()


def test_the_list_is_up_to_date() -> None:
    assert (material.HERE / "README.md").read_text() == index.render(), (
        "Remedy: python -m tests.attacks.index"
    )
