"""The program that puts notebooks into the learner's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """A folder with a learner's notebook and templates."""
    for name in ("student/01-x/ex01-a.ipynb", "templates/a.sbatch", "templates/deep/b.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one")
    return tmp_path


def run(folder: Path) -> str:
    argv = [folder / "lab", folder / "templates", folder / "student/01-x/ex01-a.ipynb"]
    done = subprocess.run(
        [sys.executable, "-I", "-m", "hpclab.app.hand_out", *argv], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_files_are_handed_out_and_changed_ones_kept(generated: Path) -> None:
    assert run(generated) == ""
    names = ("01-x/ex01-a/ex01-a.ipynb", "templates/a.sbatch", "templates/deep/b.py")
    assert [(generated / "lab" / name).read_text() for name in names] == ["one"] * 3
    (generated / "student/01-x/ex01-a.ipynb").write_text("two")
    (generated / "templates/a.sbatch").write_text("two")
    (generated / "lab/01-x/ex01-a/ex01-a.ipynb").write_text("my work")
    kept, updated = run(generated).splitlines()
    assert "ex01-a.ipynb holds your work and stays as it is" in kept
    assert "a.sbatch was brought up to date" in updated
    assert (generated / "lab/01-x/ex01-a/ex01-a.ipynb").read_text() == "my work"
