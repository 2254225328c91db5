"""What every test shares: the clone's root, and for unit tests an environment of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import need

ROOT = Path(__file__).resolve().parents[1]
REAL = ("cluster", "labs", "grading", "attacks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that starts daemons or namespaces is marked by its place, whether or not it says so."""
    for item in items:
        if any(ROOT / "tests" / place in item.path.parents for place in REAL):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the clone."""
    return ROOT


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program."""
    return need.program("chromium", "chromium")


@pytest.fixture(autouse=True)
def own_environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A unit test sees neither this person's clusters nor the job it may itself run in."""
    if request.node.get_closest_marker("cluster"):
        return
    for name in os.environ:
        if name.startswith(("HPCLAB_", "SLURM_", "SBATCH_", "SALLOC_")) or name == "NERSC_HOST":
            monkeypatch.delenv(name)
    own = tmp_path_factory.mktemp("hpclab")
    monkeypatch.setenv("HPCLAB_STATE", str(own / "state"))
    monkeypatch.setenv("HPCLAB_CACHE", str(own / "cache"))
