"""Scripts outside of the package name modules of it; no import tells when one of those moves."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest


@pytest.mark.parametrize("script", ["autograder/grade-array.sbatch", "containers/grader.def"])
def test_the_modules_that_scripts_name_are_there(root: Path, script: str) -> None:
    named = re.findall(r"\bhpclab(?:\.\w+)+", (root / script).read_text())
    assert "hpclab.app.grading.array_task" in named
    assert [name for name in named if importlib.util.find_spec(name) is None] == []
