"""The labs of a clone, found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab import layout
from hpclab.app import labs
from hpclab.errors import UsageError
from hpclab.exercises.lab_names import LabName

SUBMIT = LabName("01-slurm-basics", "ex01-submit-monitor")
SAVE = LabName("02-checkpointing", "ex01-basic-checkpoint")
OWN = LabName("", "ex09-own")  # a lab that the clone does not have


def test_the_labs_of_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "clone_folder", lambda: tmp_path)
    with pytest.raises(UsageError, match=r"holds no labs\nBegin one"):
        labs.find_labs([])
    first, second = (tmp_path / "notebooks" / lab.module / f"{lab.name}.md" for lab in (SUBMIT, SAVE))
    for path in (first, second):
        path.parent.mkdir(parents=True)
        path.touch()
    assert labs.find_labs([]) == [first, second]
    assert labs.find_labs(["02", "ex01-b", str(first)]) == [second, first]
    assert labs.find_lab("01") == first
    assert labs.with_modules(["ex01-basic-checkpoint", "ex09-own"]) == [SAVE, OWN]


def test_a_file_that_exists_stands_for_itself(tmp_path: Path) -> None:
    notebook = tmp_path / "my own.ipynb"
    notebook.touch()
    assert labs.find_labs([str(notebook)]) == [notebook]
    assert labs.find_lab(str(notebook)) == notebook
