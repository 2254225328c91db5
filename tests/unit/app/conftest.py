"""What tests of use cases share: a build folder of their own, and a lab of the course."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab import layout
from hpclab.app import lab_run, proofs


@pytest.fixture
def own_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Generated files and runs go here, not into this clone's build folder."""
    folder = tmp_path / "build"
    for module in (lab_run, proofs):
        monkeypatch.setattr(module, "build_folder", lambda: folder)
    return folder


@pytest.fixture
def ex01() -> Path:
    """The first lab of the course."""
    return layout.clone_folder() / "notebooks/01-slurm-basics/ex01-submit-monitor.md"
