"""Every exercise of module 01 gives the marks that it should: `hpclab labs prove`, lab by lab.

The runs of all chosen labs begin together, a few at a time; each test waits for those of its lab.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from hpclab import layout
from hpclab.cli import attempt, places, prove, workers
from hpclab.exercises import build

LABS = [path for path in build.sources(layout.course() / "notebooks") if path.parent.name.startswith("01-")]
DEADLINE = 3000.0  # seconds for everything; a test that hangs is a failure

Outcomes = list[tuple[prove.Case, prove.Verdict]]


@pytest.fixture(scope="module")
def proof(
    request: pytest.FixtureRequest, private: places.PrivateClusters, at_once: int
) -> Iterator[Callable[[Path], Outcomes]]:
    """A function that waits for the proof of one lab."""
    how, stop = attempt.how_to_run(), workers.Stop()
    labs = [
        item.callspec.params["lab"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    with ThreadPoolExecutor(at_once, "proof") as pool:

        def begin(case: prove.Case) -> Future[prove.Verdict]:
            return pool.submit(prove.try_out, case, how, private.fresh, stop.pause, lambda _: None)

        started = {lab: [(case, begin(case)) for case in prove.cases(lab)] for lab in labs}
        try:
            yield lambda lab: [(case, going.result(DEADLINE)) for case, going in started[lab]]
        finally:
            stop.now()
            pool.shutdown(wait=False, cancel_futures=True)
            private.close()


@pytest.mark.timeout(DEADLINE + 60)
@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.stem)
def test_marks_are_what_they_should_be(lab: Path, proof: Callable[[Path], Outcomes]) -> None:
    outcomes = proof(lab)
    bad = [(case, verdict) for case, verdict in outcomes if not verdict.ok]
    assert not bad, "\n" + prove.explain(bad)
    assert {case.name for case, _ in outcomes} >= {"reference", "untouched", "round 1"}
