"""Headless labs on real clusters: each its own, in a state folder that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpclab.app import lab_run, targets
from tests import sample
from tests.labs import rounds


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Which rounds are tried, for whoever looks into a failure."""
    return sample.header(config, "rounds of wrong answers", rounds.SELECTED, len(rounds.COSTS_S))


@pytest.fixture(scope="session")
def own_state() -> Iterator[Path]:
    """Where the clusters of these tests live: not among this person's own."""
    state = Path(tempfile.mkdtemp(prefix="hpclab-labs-", dir="/var/tmp"))  # not /tmp: often small, in memory
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCLAB_STATE", str(state))
        patch.delenv("HPCLAB_CLUSTER", raising=False)
        yield state
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def private(own_state: Path) -> Iterator[targets.PrivateClusters]:
    """Clusters that live for one run each."""
    with targets.PrivateClusters() as clusters:
        yield clusters


@pytest.fixture(scope="session")
def at_once() -> int:
    """How many clusters run side by side."""
    return int(os.environ.get("HPCLAB_TEST_JOBS") or lab_run.default_parallelism())
