"""The attacks that `make test` makes: of each lab some of those that are not slow."""

from __future__ import annotations

from tests import sample
from tests.attacks import material

# What the submissions of each lab may take in all, and what one of them takes on one CPU.
BUDGET_S = {"numbers": 150.0, "jobs": 60.0}
COST_S = {"numbers": 10.0, "jobs": 60.0}
COSTS_S = {
    lab: {one.name: COST_S[lab] for one in material.attacks(lab) if not one.slow} for lab in material.LABS
}
SELECTED = [
    name for lab, costs in COSTS_S.items() for name in sample.select(costs, BUDGET_S[lab], sample.seed())
]
