"""Every attack gets what it should, changes nobody else's marks, takes nothing along and leaves nothing behind.

All attacks that were chosen are collected and graded in one class for each lab, with honest learners
before, between and after them. In `make test` those are the attacks that the commit's hash chooses among those that
take no time-out (selection.py); `make test-all` has all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpclab.grading.model import Result
from tests.attacks import material, school, selection, shown
from tests.attacks.host import PLANTED, THROUGH
from tests.attacks.material import Attack
from tests.attacks.school import HONEST, Graded

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(school.GRADING + 300)]

EVERY = [
    pytest.param(one, id=one.name, marks=[] if one.name in selection.SELECTED else [pytest.mark.slow])
    for one in material.attacks()
]
LABS = pytest.mark.parametrize("lab", list(material.LABS))
Class = Callable[[str], Graded]


@pytest.fixture(scope="module")
def classes(request: pytest.FixtureRequest) -> Iterator[Class]:
    """The class of a lab, with all attacks of this session in it, graded once."""
    chosen = {
        item.callspec.params["attack"].name: item.callspec.params["attack"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.module is request.module
        and "attack" in item.callspec.params
    }
    known: dict[str, Graded] = {}
    places = Path(tempfile.mkdtemp(prefix="hpclab-attacks-", dir="/var/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCLAB_STATE", str(places / "state"))
        for name in ("HPCLAB_CLUSTER", "HPCLAB_COURSE"):
            patch.delenv(name, raising=False)

        def of(lab: str) -> Graded:
            if lab not in known:
                (places / lab).mkdir()
                of_lab = [one for one in chosen.values() if one.lab == lab]
                known[lab] = school.graded(lab, of_lab, places / lab)
            return known[lab]

        yield of
    if os.environ.get("HPCLAB_KEEP_ATTACKS") != "1":  # for whoever looks into a failure
        shutil.rmtree(places, ignore_errors=True)


@pytest.mark.parametrize("attack", EVERY)
def test_an_attack_gets_what_it_should(attack: Attack, classes: Class) -> None:
    done = classes(attack.lab)
    if attack.name in done.refused:
        assert material.REFUSED in attack.verdicts, done.refused[attack.name]
        assert attack.name not in done.results
        return
    assert attack.name in done.results, done.grading
    result = done.results[attack.name]
    assert result.verdict in attack.verdicts, _told(result)
    earned = by_task(result)
    for task, points in attack.marks.items():
        allowed = points if isinstance(points, list) else [points]
        assert earned[task] in allowed, f"{task}: {earned[task]:g} instead of {points}\n{_told(result)}"
    assert attack.says in "\n".join((*result.notes, result.problem)), _told(result)


@pytest.mark.parametrize("attack", EVERY)
def test_an_attack_takes_nothing_along(attack: Attack, classes: Class) -> None:
    """No hidden test, classmate, environment, host's or class's secret in anything that comes back to the attacker."""
    done = classes(attack.lab)
    given = done.shown.get(attack.name, "") + done.refused.get(attack.name, "")
    own = {"name"}  # which is the learner's own to see
    assert not {found[0] for found in PLANTED.finditer(given) if found[1] not in own}
    assert THROUGH not in given, given[given.index(THROUGH) - 200 :][:1000]


@pytest.mark.parametrize("attack", EVERY)
def test_what_is_shown_of_an_attack_does_nothing(attack: Attack, classes: Class) -> None:
    """The page runs nothing and asks nobody; the text, and what a terminal saw, hold no codes."""
    done = classes(attack.lab)
    if attack.name not in done.results:
        return
    folder = done.folder / "feedback" / attack.name
    pages, texts = list(folder.rglob("*.html")), list(folder.rglob("*.txt")) + list(folder.rglob("*.md"))
    assert pages and texts, done.log[-3000:]
    for page in pages:
        assert shown.faults_of_page(page.read_text()) == []
    for text in texts:
        assert shown.faults_of_text(text.read_text()) == []


@LABS
def test_terminal_and_tables_are_harmless(lab: str, classes: Class) -> None:
    done = classes(lab)
    assert shown.faults_of_text(done.log) == []
    tables = list((done.folder / "reports").glob("*.csv"))
    assert tables, done.log[-3000:]
    for table in tables:
        assert shown.faults_of_table(table.read_text()) == []
    for page in (done.folder / "reports").glob("*.html"):
        assert shown.faults_of_page(page.read_text()) == []


@LABS
def test_honest_marks_are_what_they_are(lab: str, classes: Class) -> None:
    done = classes(lab)
    honest = HONEST[lab]
    assert set(honest) <= set(done.results), done.grading
    assert {student: done.results[student].verdict for student in honest} == dict.fromkeys(honest, "PASS")
    for student in honest:
        assert by_task(done.results[student]) == done.lab.full


@LABS
def test_the_host_is_unharmed(lab: str, classes: Class) -> None:
    assert classes(lab).harm == []


@LABS
def test_nothing_is_left(lab: str, classes: Class) -> None:
    assert classes(lab).left == []


def by_task(result: Result) -> dict[str, float]:
    """Points by task."""
    earned: dict[str, float] = {}
    for mark in result.marks:
        earned[mark.task] = earned.get(mark.task, 0.0) + mark.earned
    return earned


def _told(result: Result) -> str:
    marks = "\n".join(
        f"  {mark.test}: {mark.earned:g} {mark.found or mark.said}"[:300] for mark in result.marks
    )
    return f"{result.verdict} {result.run}\n{marks}\n{result.problem}\n{result.notes}"
