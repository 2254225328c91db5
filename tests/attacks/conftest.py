"""The folders here are strangers': some hold a conftest.py or a pytest.ini that wants to be read."""

from __future__ import annotations

import pytest

from tests import sample
from tests.attacks import selection

collect_ignore_glob = ["*-*", "labs"]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Which attacks are made, for whoever looks into a failure."""
    return sample.header(
        config,
        "attacks that are not slow",
        selection.SELECTED,
        sum(len(costs) for costs in selection.COSTS_S.values()),
    )
