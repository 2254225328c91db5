"""The marks of 02/ex01's state do not depend on how a processor rounds: whichever way its test losses go."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from hpclab import evidence
from hpclab.evidence import CheckFailed
from hpclab.exercises import source, views, wrong_answers

NOTEBOOK = "notebooks/02-checkpointing/ex01-basic-checkpoint.md"
CURVES = {
    # As seen with AVX-512 and with ATEN_CPU_CAPABILITY=default: the last is the lowest.
    "avx512": (0.912, 0.696, 0.432, 0.317, 0.433, 0.670, 0.531, 0.809, 0.392, 0.306),
    "default": (0.912, 0.697, 0.438, 0.330, 0.254, 0.309, 0.303, 0.343, 0.281, 0.206),
    "avx2": (0.912, 0.696, 0.430, 0.327, 0.319, 0.249, 0.182, 1.054, 0.507, 0.304),
    "falling": (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1),
    "rising": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "constant": (0.5,) * 10,
}
# The runs of cut.sbatch, with test losses that are given instead of computed.
RUNS = """
import json, os, shutil, sys
import torch
torch.set_num_threads(1)
import run

class Killed(BaseException):
    pass

def kill(*_):
    raise Killed

computed, evaluate = run.cross_entropy, run.Training.evaluate
run.os.kill = kill
for name, curve in json.loads(sys.argv[1]).items():
    def given(t):
        run.cross_entropy = lambda *_: torch.tensor(curve[t.epoch])
        evaluate(t)
        run.cross_entropy = computed
    run.Training.evaluate = given
    os.mkdir(name)
    for file in ("run.py", "state.py"):
        shutil.copy(file, name)
    os.chdir(name)
    run.main("whole", "naive")
    for die in (53, 110, 0):
        try:
            run.main("cut", "state", die)
        except Killed:
            pass
    os.chdir("..")
"""


class Replayed(Exception):
    """All comparisons before the hidden test's own runs went well."""


def marked(cell: str) -> None:
    """Run a test cell in this folder; CheckFailed where it gives no point."""
    exec(compile(cell, "<test>", "exec"), {})


@pytest.fixture
def hidden_test(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Mapping[str, str], Sequence[str]], str]:
    """Makes the runs with other answers, a folder for each curve; the cell that marks them."""
    monkeypatch.setattr(evidence, "job", lambda name: SimpleNamespace(name=name, id="7"))
    monkeypatch.chdir(tmp_path)

    def make(answers: Mapping[str, str], curves: Sequence[str] = tuple(CURVES)) -> str:
        notebook = views.reference_view(source.load(root / NOTEBOOK), answers)
        cells = {cell.id: cell.source for cell in notebook.cells}
        for text in cells.values():
            first, _, rest = text.partition("\n")
            if first in ("%%writefile run.py", "%%writefile naive.py", "%%writefile state.py"):
                Path(first.split()[1]).write_text(rest)
        environ = os.environ | {"SLURM_JOB_ID": "7", "PYTHONPATH": "."}
        command = [sys.executable, "-c", RUNS, json.dumps({name: CURVES[name] for name in curves})]
        subprocess.run(command, env=environ, check=True, capture_output=True, timeout=200)
        return str(cells["state-hidden-tests"])

    return make


def test_a_complete_state_passes_whichever_loss_is_lowest(
    hidden_test: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = hidden_test({})
    monkeypatch.setattr(evidence, "replay", Mock(side_effect=Replayed))
    for name in CURVES:
        monkeypatch.chdir(tmp_path / name)
        with pytest.raises(Replayed):
            marked(cell)


def test_forgotten_test_losses_show_whichever_is_lowest(
    root: Path, hidden_test: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = wrong_answers.load_all(source.load(root / NOTEBOOK))
    [forgotten] = [one for one in answers if re.fullmatch("state-.*-forgotten", one.path.stem)]
    cell = hidden_test(forgotten.answers)
    monkeypatch.setattr(evidence, "replay", Mock(side_effect=Replayed))
    for name in CURVES:
        monkeypatch.chdir(tmp_path / name)
        with pytest.raises(CheckFailed, match="test loss"):
            marked(cell)


def test_a_forgotten_scale_shows_where_nothing_overflows(
    root: Path, hidden_test: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients whose scale never changes have losses that do not show whether it was saved."""
    notebook = views.reference_view(source.load(root / NOTEBOOK))
    [answer] = [cell.source for cell in notebook.cells if cell.id == "state-module"]
    cell = hidden_test({"state-module": answer.replace(', "scaler")', ")")}, ["falling"])
    monkeypatch.chdir(tmp_path / "falling")
    run = Path("run.py")  # of which the hidden test makes runs of its own
    run.write_text(
        run.read_text().replace(
            "init_scale=2.0**20, growth_interval=40", "init_scale=1.0, growth_interval=999"
        )
    )
    with pytest.raises(CheckFailed, match="another scale of the gradients"):
        marked(cell)
