"""The learner's notebook and the lab's → what is run."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpclab.grading.execute import assemble
from hpclab.grading.execute.assemble import Assembled, BadInput
from hpclab.grading.model import Lab
from hpclab.grading.submissions import ipynb
from tests.unit.grading import labs
from tests.unit.grading.labs import ANSWERS, at, code

Change = Callable[[Any], object]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return labs.make(tmp_path_factory.mktemp("course"))


def after(lab: Lab, *changes: Change) -> Assembled:
    """What is run of a right submission that was changed so."""
    made = labs.notebook(lab, ANSWERS)
    for change in changes:
        change(made)
    return assemble.assemble(labs.files(made), lab)


def ran(found: Assembled) -> list[tuple[str, str]]:
    return [(cell["kind"], cell["source"]) for cell in found.cells]


def whole(lab: Lab) -> list[tuple[str, str]]:
    """What is run of a right submission that nobody changed."""
    return [(cell.kind, ANSWERS.get(cell.id, cell.source)) for cell in lab.cells]


def test_a_submission_as_it_should_be_runs_as_it_is(lab: Lab) -> None:
    found = after(lab)
    assert ran(found) == whole(lab)
    assert (found.notes, found.tamper, found.path) == ((), "", "ex01-numbers.ipynb")
    assert [cell["id"] for cell in found.cells] == [cell.id for cell in lab.cells]


def test_an_untouched_one_runs_the_stubs(lab: Lab) -> None:
    found = assemble.assemble(labs.files(labs.notebook(lab)), lab)
    assert ran(found) == [(cell.kind, cell.source) for cell in lab.cells]


# ---- accidents: put right and noted ----------------------------------------------------------


def _delete(name: str) -> Change:
    return lambda made: made["cells"].pop(at(made, name))


def _twice(name: str, **more: Any) -> Change:
    def change(made: Any) -> None:
        place = at(made, name)
        made["cells"].insert(place + 1, {**copy.deepcopy(made["cells"][place]), "id": "again", **more})

    return change


def _set(name: str, **more: Any) -> Change:
    return lambda made: made["cells"][at(made, name)].update(more)


def _without_ids(made: Any) -> None:
    for cell in made["cells"]:
        del cell["id"]
    made["nbformat_minor"] = 4


def _metadata_lost(name: str) -> Change:
    return _set(name, metadata={})


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (_delete("two-tests"), "the check 'two-tests' was missing and was put back"),
        (_twice("two-tests"), "the check 'two-tests' stands there more than once"),
        (_set("two-tests", source="print('Passed')"), "the check 'two-tests' was changed; the lab's own ran"),
        (_set("two-tests", cell_type="markdown"), "the check 'two-tests' was changed"),
        (_set("two-hidden-tests", source=""), "the check 'two-hidden-tests' was changed"),
        (_set("two", cell_type="markdown"), "the answer 'two' had become a cell of text; it ran as code"),
        (lambda made: made["cells"].reverse(), "cells of the lab were moved"),
        (_twice("sum", source="# YOUR WORK HERE"), "the answer 'sum' stands in more than one cell"),
        (_without_ids, ""),
        (_metadata_lost("two"), ""),
        (_metadata_lost("two-tests"), ""),
        (lambda made: made["metadata"].update(kernelspec={"name": "bash", "language": "bash"}), ""),
    ],
)
def test_an_accident_changes_nothing(lab: Lab, change: Change, note: str) -> None:
    found = after(lab, change)
    assert ran(found) == whole(lab)
    assert not found.tamper
    assert (note in " ".join(found.notes)) if note else found.notes == ()


def test_deleted_given_cells_come_back_and_changed_ones_are_the_learners(lab: Lab) -> None:
    given = [cell.id for cell in lab.cells if cell.kind == "given"]
    found = after(lab, _delete(given[0]), _set(given[1], source="more = 3"))
    assert ran(found)[0] == ("given", "start = 40")
    assert ("given", "more = 3") in ran(found)
    assert "was missing and was put back" in found.notes[0]


def test_a_deleted_answer_runs_nothing(lab: Lab) -> None:
    found = after(lab, _delete("two"))
    assert ran(found) == [one for one in whole(lab) if one[1] != ANSWERS["two"]]
    assert found.notes == ("the answer cell 'two' is missing",)


def test_cells_of_the_learners_own_stay_where_they_were(lab: Lab) -> None:
    def change(made: Any) -> None:
        made["cells"].insert(at(made, "two"), code("before = 1"))
        made["cells"].insert(at(made, "two") + 1, code("after = 1"))
        made["cells"].append(code("last = 1"))
        made["cells"].insert(0, code("first = 1"))
        made["cells"].append(code("never = 1", cell_type="raw"))

    found = after(lab, change)
    sources = [source for _, source in ran(found)]
    assert sources[0] == "first = 1"
    place = sources.index(ANSWERS["two"])
    assert sources[place - 1] == "before = 1"
    assert sources[place + 1] == "after = 1"
    assert sources[-1] == "last = 1"
    assert len({cell["id"] for cell in found.cells}) == len(found.cells)


def test_a_split_answer_runs_in_its_order_whoever_has_the_id(lab: Lab) -> None:
    for second in ({"id": "half"}, {"id": "half", "metadata": {}}):
        found = after(lab, _set("sum", source="a = 1"), _twice("sum", source="b = a", **second))
        sources = [source for _, source in ran(found)]
        assert sources.index("b = a") == sources.index("a = 1") + 1
        assert sources.index("b = a") < len(sources) - 1  # before the check


def test_a_work_whose_every_mark_was_lost_is_known_by_the_texts_around_it(lab: Lab) -> None:
    def change(made: Any) -> None:
        for cell in made["cells"]:
            cell["metadata"] = {}
            del cell["id"]

    found = after(lab, change)
    assert [source for _, source in ran(found)] == [source for _, source in whole(lab)]


def test_a_check_of_another_lab_is_left_out_an_answer_runs(lab: Lab) -> None:
    def change(made: Any) -> None:
        foreign = {"grade_id": "other-tests", "grade": True, "solution": False, "points": 9}
        made["cells"].append(code("check of another lab", metadata={"nbgrader": foreign}))
        made["cells"].append(code("mine = 1", metadata={"nbgrader": {"grade_id": "x", "solution": True}}))

    found = after(lab, change)
    assert not found.tamper
    assert ran(found) == [*whole(lab), ("own", "mine = 1")]


# ---- what no honest way leads to -------------------------------------------------------------


def _mark(name: str, **more: Any) -> Change:
    return lambda made: made["cells"][at(made, name)]["metadata"]["nbgrader"].update(more)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_mark("two-tests", points=1000), "'points' of the graded cell 'two-tests'"),
        (_mark("two-tests", points=True), "'points'"),
        (_mark("two-tests", points="1"), "'points'"),
        (_mark("two-tests", points=None), "'points'"),
        (_mark("two-tests", points=float("nan")), "'points'"),
        (_mark("two-tests", points=float("inf")), "'points'"),
        (_mark("two-tests", points=[1]), "'points'"),
        (_mark("two-tests", grade_id="sum-tests"), "the grade id of the cell 'two-tests'"),
        (_mark("two-tests", grade_id={"a": 1}), "the grade id of the cell 'two-tests'"),
        (_mark("two", grade_id="mine"), "the grade id of the cell 'two'"),
        (_mark("two-tests", schema_version=99), "'schema_version'"),
        (_mark("two-tests", cell_type="markdown"), "'cell_type'"),
        (_mark("two-tests", solution=True), "'solution'"),
        (_mark("two", grade=True), "'grade'"),
        (_mark("two", task=True), "'task'"),
    ],
)
def test_changed_marks_are_named(lab: Lab, change: Change, says: str) -> None:
    assert says in after(lab, change).tamper


def test_points_written_otherwise_are_the_same(lab: Lab) -> None:
    assert not after(lab, _mark("two-tests", points=1.0), _mark("two", locked=True, checksum="other")).tamper


# ---- which notebook --------------------------------------------------------------------------


def test_the_lab_s_name_comes_first_then_the_lab_s_cells(lab: Lab) -> None:
    right = json.dumps(labs.notebook(lab, ANSWERS)).encode()
    other = json.dumps({"cells": [code("x")], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()
    names = "ex01-numbers.ipynb", "my work.ipynb", "notes.ipynb"
    for given, taken in [
        ({names[0]: right, names[1]: right}, names[0]),
        ({names[1]: right, names[2]: other}, names[1]),
        ({names[0]: other, names[1]: right}, names[1]),
        ({names[0]: b"{", names[1]: right}, names[1]),
        (
            {f"ex01-numbers/{names[0]}": right, ".ipynb_checkpoints/ex01-numbers.ipynb": other},
            f"ex01-numbers/{names[0]}",
        ),
    ]:
        found = assemble.assemble(given, lab)
        assert found.path == taken
        assert ran(found) == whole(lab)
        assert bool(found.notes) == (len([one for one in given if "checkpoints" not in one]) > 1)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "there is no notebook"),
        ({"estimate.py": b"print(1)"}, "only: estimate.py"),
        ({"ex01-numbers.ipynb": b""}, "is empty"),
        ({"ex01-numbers.ipynb": b"PK\x03\x04"}, "is not JSON"),
        ({"ex01-numbers.ipynb": b"{}"}, "has no cells"),
        ({"ex01-numbers.ipynb": b"[]"}, "has no cells"),
        ({"ex01-numbers.ipynb": b"null"}, "has no cells"),
        ({"ex01-numbers.ipynb": b'{"cells": {}}'}, "has no cells"),
        ({"ex01-numbers.ipynb": b'{"cells": [1, "a", null]}'}, "no notebook with the cells of"),
        (
            {"other.ipynb": b'{"cells": [{"cell_type": "code", "source": "1"}]}'},
            "no notebook with the cells of",
        ),
        ({"ex01-numbers.ipynb": b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"}, "nested too deeply"),
        ({"ex01-numbers.ipynb": b'{"nbformat": ' + b"9" * 6000 + b', "cells": "x"}'}, "is not JSON"),
        ({"ex01-numbers.ipynb": b" " * (ipynb.MOST_BYTES + 1)}, "the most is 16"),
        ({"ex01-numbers.ipynb": b'{"x": [' + b"0," * 500_000 + b"0]}"}, "too large to look for more"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(lab: Lab, given: dict[str, bytes], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        assemble.assemble(given, lab)
    assert caught.value.remedy


# ---- odd files that are notebooks ------------------------------------------------------------


def test_old_formats_are_read(lab: Lab) -> None:
    made = labs.notebook(lab, ANSWERS)
    cells = [
        {**cell, "input": cell["source"].splitlines(keepends=True), "source": None} for cell in made["cells"]
    ]
    for cell in cells:
        del cell["source"]
    third = {"nbformat": 3, "metadata": {}, "worksheets": [{"cells": cells}]}
    fourth = {**made, "cells": [{**cell, "source": [cell["source"]]} for cell in made["cells"]]}
    for old in (third, fourth):
        assert ran(assemble.assemble(labs.files(old), lab)) == whole(lab)


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made["metadata"].update(strange=float("nan")),
        lambda made: made["cells"].append({}),
        lambda made: made["cells"].append({"cell_type": None, "source": 3, "metadata": []}),
        lambda made: made["cells"].append({"cell_type": ["code"], "source": None}),
        lambda made: made["cells"].append(code("x = 1", metadata={"nbgrader": [1]})["metadata"]),
        lambda made: made["cells"][0].update(id=17),
        lambda made: made["cells"][0]["metadata"].update(big=["x" * 1000] * 3000),
        lambda made: made.update(extra="\ud800"),
    ],
)
def test_oddities_are_borne(lab: Lab, change: Change) -> None:
    assert ran(after(lab, change)) == whole(lab)


def test_halves_of_characters_and_bytes_that_are_no_text_do_no_harm(lab: Lab) -> None:
    found = after(lab, _set("two", source="x = '\ud800'"))
    assert ("answer", "x = '?'") in ran(found)
    raw = json.dumps(labs.notebook(lab, ANSWERS)).encode()
    found = assemble.assemble({"ex01-numbers.ipynb": raw.replace(b"start = 40", b"start = '\xff\xe4'")}, lab)
    assert ("given", "start = '\ufffd\ufffd'") in ran(found)
    found = assemble.assemble({"ex01-numbers.ipynb": b"\xef\xbb\xbf" + raw}, lab)
    assert ran(found) == whole(lab)


def test_too_many_cells_and_too_long_ones_are_refused(lab: Lab) -> None:
    made = labs.notebook(lab, ANSWERS)
    made["cells"] += [code("1")] * 100_000
    with pytest.raises(BadInput, match="cells, the most is 5000"):
        assemble.assemble(labs.files(made), lab)
    with pytest.raises(BadInput, match="kB of text"):
        after(lab, _set("two", source="#" * (ipynb.MOST_SOURCE + 1)))


# VmHWM is this program's own peak; ru_maxrss would begin with that of the process that started it.
HOSTILE = """
import re, sys
from pathlib import Path
def peak_kib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
sys.path.insert(0, {root!r})
from hpclab.grading.submissions import ipynb
data = {data}
before = peak_kib()
try:
    ipynb.read(data, "x.ipynb")
except ipynb.BadInput:
    pass
print((peak_kib() - before) >> 10)
"""


@pytest.mark.parametrize(
    "data",
    [
        'b\'{"cells": [\' + b"[]," * 5_000_000 + b"[]]}"',
        'b\'{"cells": [\' + b"{}," * 5_000_000 + b"{}]}"',
        'b\'{"cells": [\' + b\'{"cell_type":"","source":""},\' * 550_000 + b"{}]}"',
        'b\'{"cells": [{"cell_type": "code", "source": [\' + b\'"a",\' * 4_000_000 + b\'""]}]}\'',
        'b\'{"cells": [], "metadata": [\' + b"[]," * 5_000_000 + b"[]]}"',
    ],
)
def test_no_notebook_takes_much_memory(root: Path, data: str) -> None:
    script = HOSTILE.format(root=str(root / "src"), data=data)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert int(done.stdout) < 120  # MB, besides the file itself
