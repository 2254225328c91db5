"""The rounds of wrong answers of every lab, and those that `make test` runs."""

from __future__ import annotations

from hpclab import layout
from hpclab.exercises import source, wrong_answers
from hpclab.exercises.lab_names import list_sources
from tests import sample

BUDGET_S = 900.0  # of labs' time in all; up to four run side by side


def costs_s() -> dict[str, float]:
    """The seconds that each round takes, by the name of its test: those of a run of the whole lab."""
    labs = [source.load(path) for path in list_sources(layout.clone_folder() / "notebooks")]
    return {
        f"{lab.path.stem}-round-{number}": float(lab.about.cost.seconds)
        for lab in labs
        for number in range(1, len(wrong_answers.plan_rounds(wrong_answers.load_all(lab))) + 1)
    }


COSTS_S = costs_s()
SELECTED = sample.select(COSTS_S, BUDGET_S, sample.seed())
