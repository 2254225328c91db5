"""A sample of many tests, another one for each commit: what `make test` runs of what it has no time to run whole.

The rule is in CONTRIBUTING.md. The commit's hash decides, so that a failure is reproducible and every test has its turn.
HPCLAB_TEST_SAMPLE=WORD takes the place of the hash.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETTING = "HPCLAB_TEST_SAMPLE"
NO_COMMIT = "no-commit"  # an archive of the course, or a machine without git


def select(costs_s: Mapping[str, float], budget_s: float, seed: str) -> list[str]:
    """Names from ``costs_s``, in an order that ``seed`` decides, as long as they fit into the budget together.

    A name that does not fit any more is passed over, so that the budget is used. One that costs more than the
    whole budget is never selected.
    """
    selected: list[str] = []
    left = budget_s
    for name in sorted(costs_s, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        if costs_s[name] <= left:
            selected.append(name)
            left -= costs_s[name]
    return selected


def seed() -> str:
    """What decides in this run: HPCLAB_TEST_SAMPLE, or the commit that is checked out."""
    return os.environ.get(SETTING) or _commit()


def _commit() -> str:
    # The clone may belong to another user, as it does in a container of hosted CI.
    words = ["git", "-c", "safe.directory=*", "-C", ROOT, "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return NO_COMMIT
    return done.stdout.strip()


def header(config: pytest.Config, what: str, selected: list[str], of: int) -> list[str]:
    """What pytest prints before it begins, if it runs the sample and not all."""
    if "not slow" not in config.getoption("markexpr"):
        return []
    return [
        f"{what}: {len(selected)} of {of}, selected by {seed()}: {' '.join(sorted(selected))}",
        f"  the same again: {SETTING}={seed()} make test; all of them: make test-all",
    ]
