"""Calls of a learner's function with plain values, in the notebook and by a grader."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpclab import evidence
from hpclab.evidence import CheckFailed, functions


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    return main


def test_values_arrive_and_return_as_copies(notebook: ModuleType) -> None:
    notebook.f = lambda values, extra=None: (values.append(1), {"a": (values, extra, True, 0.1, None)})[1]
    mine = [5]
    assert evidence.function("f")(mine, "x") == {"a": [[5, 1], "x", True, 0.1, None]}
    assert mine == [5]


class Equal:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_result_that_is_not_plain_fails(notebook: ModuleType) -> None:
    for value in (Equal(), {1}, b"x", float("inf"), {(1, 2): 3}, 10**5000):
        notebook.f = lambda _, value=value: value
        with pytest.raises(CheckFailed, match=r"Found: f\(1\) returns .*\nExpected: plain values"):
            evidence.function("f")(1)


def test_subclasses_become_plain_values(notebook: ModuleType) -> None:
    class Six(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    notebook.f = lambda: Six(6)
    found = evidence.function("f")()
    assert type(found) is int and found == 6 and found != 7


def test_a_function_that_raises_can_be_examined(notebook: ModuleType) -> None:
    notebook.f = lambda n: 1 // n
    with pytest.raises(evidence.Raised, match=r"Found: f\(0\) raises ZeroDivisionError: integer") as caught:
        evidence.function("f")(0)
    assert caught.value.kind == "ZeroDivisionError"
    notebook.g = 5
    for name in ("g", "none"):
        with pytest.raises(CheckFailed, match=f"no function '{name}'"):
            evidence.function(name)(1)


def test_calls_go_to_the_graders_route(monkeypatch: pytest.MonkeyPatch, notebook: ModuleType) -> None:
    asked: list[dict[str, Any]] = []
    other: dict[str, Any] = {}

    def ask(question: dict[str, Any]) -> Any:
        asked.append(question)
        said = {"nonce": question["nonce"], "replies": [{"value": sum(call)} for call in question["calls"]]}
        return {"line": json.dumps({**said, **other})}

    monkeypatch.setattr(functions, "_route", [])
    functions.route_questions(ask)
    notebook.f = lambda *_: 1 / 0
    f = evidence.function("f")
    assert f(1, 2) == 3 and f.each([[1], (2, 5)]) == [1, 7]
    assert asked[0]["nonce"] != asked[1]["nonce"]
    other["nonce"] = asked[0]["nonce"]
    with pytest.raises(CheckFailed, match="no readable result"):
        f(1)
    other.clear()
    other["replies"] = []
    with pytest.raises(CheckFailed, match="no readable result"):
        f(1)
    with pytest.raises(ValueError, match="JSON compliant"):  # the test's author is told
        f(float("nan"))


def test_long_arguments_are_shortened() -> None:
    assert functions.format_call("f", ["x" * 100, 2]) == f"f('{'x' * 56}..., 2)"


REPLAY = """
import os
from pathlib import Path

def replay(text, times):
    Path("mine.py").write_text(text)
    import lab
    return [lab.go(times), sorted(os.listdir())]
"""


def test_replay_runs_in_a_new_folder_with_the_given_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.py").write_text("import mine\nprint('noise')\ngo = lambda times: mine.value * times\n")
    (tmp_path / "other").write_text("not to be seen")
    value, there = evidence.replay(REPLAY, "value = 3", 7, given=["lab.py"])
    assert value == 21 and not {"other"} & set(there)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.py", "other"]  # nothing is left here
    with pytest.raises(CheckFailed, match="Found: a second run ends with ZeroDivisionError"):
        evidence.replay(REPLAY, "value = 1 / 0", 7, given=["lab.py"])
    monkeypatch.setattr(functions, "REPLAY_TIMEOUT_S", 0.5)
    with pytest.raises(CheckFailed, match="a second run does not finish within the time limit"):
        evidence.replay("def replay():\n    while True: pass")


def test_replay_uses_the_graders_route(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def ask(question: dict[str, Any]) -> dict[str, str]:
        asked.append(question)
        return {"line": json.dumps({"nonce": question["nonce"], "replies": [{"value": 5}]})}

    monkeypatch.setattr(functions, "_route", [ask])
    assert evidence.replay("def replay(n): return n", 5, given=["run.py"]) == 5
    [question] = asked
    assert (question["source"], question["given"]) == ("def replay(n): return n", ["run.py"])
    assert (question["function"], question["calls"]) == ("replay", [[5]])
    with pytest.raises(CheckFailed, match="more than 900000 bytes of arguments"):
        evidence.replay("def replay(n): return n", "é" * 200_000)
    assert len(asked) == 1
    monkeypatch.setattr(functions, "_route", [lambda _: {"none": "memory"}])
    with pytest.raises(CheckFailed, match="uses more memory than allowed"):
        evidence.replay("def replay(n): return n", 5)
