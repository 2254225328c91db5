"""Every exercise gives the marks that it should: `hpclab labs prove`, run by run.

`make test` runs of each lab its reference answer (the book shows that run) and the untouched notebook, and
the rounds of wrong answers that the commit's hash chooses (rounds.py); all other rounds are marked slow. The
chosen runs begin in the order of the tests, a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from hpclab import layout
from hpclab.app import lab_run, parallel, proofs, targets
from hpclab.exercises import source, wrong_answers
from hpclab.exercises.lab_names import list_sources
from tests.labs import rounds

DEADLINE = 1500.0  # seconds that a test waits for its run; the runs of the tests before it have ended


class Chosen(NamedTuple):
    """One run of one lab."""

    lab: Path
    name: str  # as in proofs.ProofCase

    def __str__(self) -> str:
        return f"{self.lab.stem}-{self.name.replace(' ', '-')}"


def every_run() -> list[Chosen]:
    """Of the longest labs first: those that end last are short."""
    labs = [source.load(path) for path in list_sources(layout.clone_folder() / "notebooks")]
    labs.sort(key=lambda lab: (-lab.about.cost.seconds, str(lab.path)))
    found = []
    for lab in labs:
        numbers = range(1, len(wrong_answers.plan_rounds(wrong_answers.load_all(lab))) + 1)
        names = ("reference", "untouched", *(f"round {number}" for number in numbers))
        found += [Chosen(lab.path, name) for name in names]
    return found


def is_slow(run: Chosen) -> bool:
    return run.name not in ("reference", "untouched") and str(run) not in rounds.SELECTED


RUNS = [pytest.param(run, id=str(run), marks=pytest.mark.slow if is_slow(run) else ()) for run in every_run()]
Proof = Callable[[Chosen], tuple[proofs.ProofCase, proofs.ProofVerdict]]


@pytest.fixture(scope="module")
def proof(request: pytest.FixtureRequest, private: targets.PrivateClusters, at_once: int) -> Iterator[Proof]:
    """A function that waits for a run."""
    how, stop = lab_run.load_run_settings(), parallel.Cancellation()
    given = [
        item.callspec.params.get("run")
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
    ]
    wanted = [run for run in given if isinstance(run, Chosen)]
    cases = {
        Chosen(lab, case.name): case
        for lab in {run.lab for run in wanted}
        for case in proofs.build_cases(lab)
    }
    with ThreadPoolExecutor(at_once, "proof") as pool:

        def begin(case: proofs.ProofCase) -> Future[proofs.ProofVerdict]:
            return pool.submit(proofs.run_case, case, how, private.start, stop.pause, lambda _: None)

        started = {run: begin(cases[run]) for run in wanted}
        try:
            yield lambda run: (cases[run], started[run].result(DEADLINE))
        finally:
            stop.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            private.close()


@pytest.mark.timeout(DEADLINE + 60)
@pytest.mark.parametrize("run", RUNS)
def test_marks_are_what_they_should_be(run: Chosen, proof: Proof) -> None:
    outcome = proof(run)
    assert outcome[1].ok, "\n" + proofs.explain_faults([outcome])


def test_the_short_run_has_every_lab_and_the_chosen_rounds() -> None:
    runs = every_run()
    quick = {str(run) for run in runs if not is_slow(run)}
    always = {
        f"{path.stem}-{name}" for path in {run.lab for run in runs} for name in ("reference", "untouched")
    }
    assert always and rounds.SELECTED
    assert quick == always | set(rounds.SELECTED)
