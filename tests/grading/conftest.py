"""Grading on real clusters and in real sandboxes, in a state folder that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpclab.app import targets

KEEP = os.environ.get("HPCLAB_KEEP_CLASSES") == "1"  # for whoever looks into a failure


@pytest.fixture(scope="session", autouse=True)
def own_state() -> Iterator[Path]:
    """Where the clusters of these tests live: not among this person's own."""
    state = Path(
        tempfile.mkdtemp(prefix="hpclab-grading-", dir="/var/tmp")
    )  # not /tmp: often small, in memory
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCLAB_STATE", str(state / "state"))
        patch.setenv("HPCLAB_LAB", str(state / "lab"))
        for name in ("HPCLAB_CLUSTER", "HPCLAB_COURSE"):
            patch.delenv(name, raising=False)
        state.chmod(0o755)
        yield state
        targets.remove_abandoned()
    if not KEEP:
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def place(own_state: Path) -> Iterator[Path]:
    """A folder on a disk that other users can walk through."""
    folder = Path(tempfile.mkdtemp(prefix="class-", dir=own_state))
    folder.chmod(0o755)
    yield folder
    if not KEEP:
        shutil.rmtree(folder, ignore_errors=True)
