"""A spec to begin with; tests replace what they are about."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab import sites
from hpclab.cluster import identity
from hpclab.cluster.spec import Host, Spec


@pytest.fixture
def spec(root: Path) -> Spec:
    """Four nodes of an ordinary user, imitating Perlmutter."""
    return Spec(
        name="test",
        site=sites.load("perlmutter", root / "sites"),
        identity=identity.for_user("ada", 1001, 1001, "/home/ada", (100000, 65536), (200000, 65536)),
        host=Host(memory_mib=8000),
    )
