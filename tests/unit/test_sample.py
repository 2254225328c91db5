"""What `make test` runs for a commit: the same each time, within its budget, and every test for some commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import sample
from tests.attacks import selection
from tests.labs import rounds

COSTS_S = {"short": 10.0, "middle": 30.0, "long": 60.0, "whole": 100.0}
SEEDS = [f"{number:012x}" for number in range(400)]


def test_the_same_seed_selects_the_same_in_whatever_order_they_come() -> None:
    backwards = dict(reversed(COSTS_S.items()))
    assert backwards == COSTS_S and list(backwards) != list(COSTS_S)
    for seed in SEEDS:
        assert sample.select(COSTS_S, 100, seed) == sample.select(backwards, 100, seed)
    assert len({tuple(sample.select(COSTS_S, 100, seed)) for seed in SEEDS}) > 5


def test_a_selection_fits_the_budget_and_no_other_would_fit_as_well() -> None:
    for seed in SEEDS:
        selected = sample.select(COSTS_S, 100, seed)
        left = 100 - sum(COSTS_S[name] for name in selected)
        assert left >= 0
        assert not [name for name in COSTS_S if name not in selected and COSTS_S[name] <= left]


def test_what_costs_more_than_the_budget_is_never_selected() -> None:
    assert {name for seed in SEEDS for name in sample.select(COSTS_S, 50, seed)} == {"short", "middle"}


@pytest.mark.parametrize(
    ("costs_s", "budget_s"),
    [
        (rounds.COSTS_S, rounds.BUDGET_S),
        *((selection.COSTS_S[lab], selection.BUDGET_S[lab]) for lab in selection.COSTS_S),
    ],
    ids=["rounds", *selection.COSTS_S],
)
def test_every_round_and_attack_is_selected_for_some_commit(
    costs_s: dict[str, float], budget_s: float
) -> None:
    selections = [sample.select(costs_s, budget_s, seed) for seed in SEEDS]
    assert all(0 < sum(costs_s[name] for name in names) <= budget_s for names in selections)
    assert {name for names in selections for name in names} == set(costs_s)


def test_the_commit_decides_and_the_setting_takes_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def git(*words: str) -> str:
        name = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *name, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    monkeypatch.setattr(sample, "ROOT", tmp_path)
    assert sample.seed() == sample.NO_COMMIT
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "first")
    first = sample.seed()
    assert git("rev-parse", "HEAD").startswith(first) and len(first) == 12
    git("commit", "--quiet", "--allow-empty", "--message", "second")
    assert sample.seed() != first
    monkeypatch.setenv(sample.SETTING, first)
    assert sample.seed() == first


def test_the_header_says_how_to_select_the_same_again(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    monkeypatch.setenv(sample.SETTING, "abc")
    monkeypatch.setattr(pytestconfig.option, "markexpr", "not slow and alone")
    first, second = sample.header(pytestconfig, "rounds", ["b-round-1", "a-round-2"], 33)
    assert first == "rounds: 2 of 33, selected by abc: a-round-2 b-round-1"
    assert "HPCLAB_TEST_SAMPLE=abc make test" in second
    monkeypatch.setattr(pytestconfig.option, "markexpr", "")
    assert sample.header(pytestconfig, "rounds", ["b-round-1"], 33) == []
