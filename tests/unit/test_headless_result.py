"""What came of a run, read from its record, notebook and log."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from hpclab import headless, slurm
from hpclab.errors import NotebookFailed
from hpclab.headless.result import summarize_run

JOB = slurm.Job(
    id="12", raw_id="12", name="lab", state="COMPLETED", exit_code=0, signal=0, nodes="nid001", elapsed=40
)
FAILED = dataclasses.replace(JOB, state="FAILED", exit_code=1)
DIED = dataclasses.replace(JOB, state="FAILED", exit_code=138)


def cell(
    name: str,
    *,
    points: float = 0,
    error: str = "",
    began: bool = True,
    ended: bool = True,
    tags: Sequence[str] = (),
) -> dict[str, Any]:
    """A cell as papermill leaves it; it calls cells that never ran "completed" too."""
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": "stderr", "text": ["sbatch: re", "fused\n"]}
    ]
    outputs += [{"output_type": "error", "ename": "CheckFailed", "evalue": error}] if error else []
    mill = {
        "status": "completed",
        "start_time": "10:00" if began else None,
        "end_time": "10:01" if began and ended else None,
    }
    metadata: dict[str, Any] = {"papermill": mill, "tags": list(tags)}
    if points:
        metadata["nbgrader"] = {"grade": True, "grade_id": name, "points": points}
    return {
        "id": name,
        "cell_type": "code",
        "source": f"code of {name}",
        "metadata": metadata,
        "outputs": outputs,
    }


def notebook(*cells: dict[str, Any]) -> str:
    return json.dumps({"cells": list(cells)})


def test_marks_are_the_points_of_the_tests_that_passed() -> None:
    text = notebook(
        cell("one", points=2),
        cell("two", points=3, error="Found: nothing."),
        cell("four", points=4, tags=["hidden-tests"]),
    )
    result = summarize_run(FAILED, "/x", text, "")
    assert [mark.earned for mark in result.marks] == [2, 0, 0]
    assert (result.earned, result.points, result.ok, result.complete) == (2, 9, False, True)
    assert result.marks[1].message == "CheckFailed: Found: nothing."
    assert result.failure is None


def test_all_passed() -> None:
    result = summarize_run(JOB, "/x", notebook(cell("setup"), cell("one", points=2)), "")
    assert result.ok
    assert result.sentence() == "job 12 COMPLETED on nid001 in 40 s, 2/2 points"


def test_a_failed_cell_is_named_with_error_and_log() -> None:
    marker = cell("m", tags=["papermill-error-cell-tag"])
    text = notebook(
        marker, cell("setup"), marker, cell("work", error="boom"), cell("one", points=2, began=False)
    )
    result = summarize_run(FAILED, "/x", text, "first\n\x1b[31mlast\x1b[0m\n")
    assert result.failure and (result.failure.cell, result.failure.number) == ("work", 2)
    with pytest.raises(NotebookFailed) as caught:
        headless.require_ok(result, "Look there.")
    for said in (
        "cell 2 (work) failed",
        "code of work",
        "boom",
        "sbatch: refused",
        "one: 0 of 2",
        "not run",
        "first\n    last",
    ):
        assert said in caught.value.problem
    assert caught.value.remedy == "Look there."


@pytest.mark.parametrize(
    ("job", "log", "why"),
    [
        (DIED, "", "the kernel died"),
        (FAILED, "nbclient.exceptions.DeadKernelError: Kernel died", "the kernel died"),
        (FAILED, "CellTimeoutError: A cell timed out while it was being executed, after 7 seconds.", "7 s"),
        (dataclasses.replace(JOB, state="TIMEOUT", time_limit=60), "", "its time limit of 60 s"),
        (dataclasses.replace(JOB, state="OUT_OF_MEMORY", exit_code=0), "", "ran out of memory"),
        (dataclasses.replace(JOB, state="CANCELLED", exit_code=0), "", "was cancelled"),
        (dataclasses.replace(JOB, state="NODE_FAIL"), "", "ended NODE_FAIL"),
    ],
)
def test_the_cell_in_which_a_run_ended_is_named_with_the_reason(job: slurm.Job, log: str, why: str) -> None:
    text = notebook(cell("setup"), cell("one", points=1), cell("culprit"), cell("two", points=2, began=False))
    result = summarize_run(job, "/x", text, log)
    assert result.failure and (result.failure.cell, result.failure.number) == ("culprit", 3)
    assert why in result.failure.error
    assert [mark.earned for mark in result.marks] == [1, 0]
    assert (result.complete, result.ok) == (False, False)


@pytest.mark.parametrize(
    ("last", "job"),
    [
        (cell("test", points=2), DIED),
        (cell("test", points=2, ended=False), dataclasses.replace(JOB, state="TIMEOUT", exit_code=0)),
        (cell("test", points=2), dataclasses.replace(JOB, state="OUT_OF_MEMORY", exit_code=0)),
    ],
    ids=["killed the kernel", "hung", "took all memory"],
)
def test_the_last_test_of_all_earns_nothing_when_the_run_ended_in_it(
    last: dict[str, Any], job: slurm.Job
) -> None:
    result = summarize_run(job, "/x", notebook(cell("setup"), last), "")
    assert (result.earned, result.complete) == (0, False)
    assert result.failure and result.failure.cell == "test"


def test_a_failed_last_test_is_a_complete_run() -> None:
    result = summarize_run(FAILED, "/x", notebook(cell("setup"), cell("test", points=2, error="no")), "")
    assert (result.complete, result.failure, result.ok) == (True, None, False)


@pytest.mark.parametrize("text", ["", '{"cells": [', "[]"])
def test_a_run_that_left_no_readable_notebook(text: str) -> None:
    """The notebook that was submitted and the log tell what they can."""
    original = notebook(cell("setup", began=False), cell("test", points=2, began=False))
    log = "Executing Cell 1---\nEnding Cell 1---\nExecuting Cell 2---\n"
    killed = dataclasses.replace(JOB, state="TIMEOUT")
    result = summarize_run(killed, "/x", text, log, original)
    assert (result.earned, result.points, result.ok) == (0, 2, False)
    assert result.failure and result.failure.number == 2
    nothing = summarize_run(killed, "/x", text, "", original)
    assert (nothing.earned, nothing.points, nothing.complete, nothing.failure) == (0, 2, False, None)
    with pytest.raises(NotebookFailed, match="TIMEOUT"):
        headless.require_ok(nothing, "")


def test_a_problem_outside_the_notebook_is_told_with_its_remedy() -> None:
    result = headless.RunResult(problem="the cluster is down", remedy="Start it.")
    assert result.sentence() == "no job: the cluster is down"
    with pytest.raises(NotebookFailed, match=r"^the cluster is down\nStart it\.\nLook there\.$"):
        headless.require_ok(result, "Look there.")
    good = summarize_run(JOB, "/x", notebook(cell("one", points=2)), "")
    assert not msgspec.structs.replace(good, problem="it was cancelled").ok
