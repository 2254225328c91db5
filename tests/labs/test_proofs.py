"""Every exercise gives the marks that it should: `hpclab labs prove`, run by run.

`make test` runs of each lab its reference answer (the book shows that run) and the untouched notebook, and
of the shorter labs one round of wrong answers; all other rounds are marked slow. The chosen runs begin in
the order of the tests, a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from hpclab import layout
from hpclab.app import lab_run, parallel, targets
from hpclab.cli import prove
from hpclab.exercises import build, source, wrong_answers

SHORT = 140  # seconds of a lab whose wrong answers are tried in `make test`, too
DEADLINE = 1500.0  # seconds that a test waits for its run; the runs of the tests before it have ended


class Chosen(NamedTuple):
    """One run of one lab."""

    lab: Path
    name: str  # as in prove.Case

    def __str__(self) -> str:
        return f"{self.lab.stem}-{self.name.replace(' ', '-')}"


def every_run() -> list[Chosen]:
    """Of the longest labs first: those that end last are short."""
    labs = [source.load(path) for path in build.list_sources(layout.clone_folder() / "notebooks")]
    labs.sort(key=lambda lab: (-lab.about.cost.seconds, str(lab.path)))
    found = []
    for lab in labs:
        rounds = range(1, len(wrong_answers.plan_rounds(wrong_answers.load_all(lab))) + 1)
        names = ("reference", "untouched", *(f"round {number}" for number in rounds))
        found += [Chosen(lab.path, name) for name in names]
    return found


def is_slow(run: Chosen) -> bool:
    wanted = ["reference", "untouched"]
    if source.load(run.lab).about.cost.seconds <= SHORT:
        wanted.append("round 1")
    return run.name not in wanted


RUNS = [pytest.param(run, id=str(run), marks=pytest.mark.slow if is_slow(run) else ()) for run in every_run()]
Proof = Callable[[Chosen], tuple[prove.Case, prove.Verdict]]


@pytest.fixture(scope="module")
def proof(request: pytest.FixtureRequest, private: targets.PrivateClusters, at_once: int) -> Iterator[Proof]:
    """A function that waits for a run."""
    how, stop = lab_run.how_to_run(), parallel.Stop()
    given = [
        item.callspec.params.get("run")
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
    ]
    wanted = [run for run in given if isinstance(run, Chosen)]
    cases = {Chosen(lab, case.name): case for lab in {run.lab for run in wanted} for case in prove.cases(lab)}
    with ThreadPoolExecutor(at_once, "proof") as pool:

        def begin(case: prove.Case) -> Future[prove.Verdict]:
            return pool.submit(prove.try_out, case, how, private.fresh, stop.pause, lambda _: None)

        started = {run: begin(cases[run]) for run in wanted}
        try:
            yield lambda run: (cases[run], started[run].result(DEADLINE))
        finally:
            stop.now()
            pool.shutdown(wait=False, cancel_futures=True)
            private.close()


@pytest.mark.timeout(DEADLINE + 60)
@pytest.mark.parametrize("run", RUNS)
def test_marks_are_what_they_should_be(run: Chosen, proof: Proof) -> None:
    outcome = proof(run)
    assert outcome[1].ok, "\n" + prove.explain([outcome])


def test_the_short_run_has_every_lab_and_wrong_answers_in_every_module() -> None:
    runs = every_run()
    assert runs
    for lab in {run.lab for run in runs}:
        assert {"reference", "untouched"} <= {run.name for run in runs if run.lab == lab and not is_slow(run)}
    wrong_ones = {run.lab.parent for run in runs if run.name == "round 1" and not is_slow(run)}
    assert wrong_ones == {run.lab.parent for run in runs}
