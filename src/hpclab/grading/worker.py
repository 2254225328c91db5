"""Grade one submission, from the store to its result. Its content can't make this process grow or hang.

An error of the submission becomes a verdict. An error of the grader becomes SYSTEM_ERROR, without a mark, after
``tries`` in new sandboxes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hpclab.errors import HpclabError
from hpclab.grading.assess import verdict
from hpclab.grading.execute import assemble, executed, protocol
from hpclab.grading.execute.assemble import Assembled, BadInput
from hpclab.grading.execute.interface import Enter, Sandbox
from hpclab.grading.execute.runner_log import RunnerLog
from hpclab.grading.model import JobSeen, Lab, Limits, Mark, NotebookRun, Result, Task, Verdict
from hpclab.sandbox.termination import Termination

TRIES = 3
MOST_LINE = 1 << 20  # bytes of one line of the tests


class Trouble(HpclabError):
    """The grader failed, so nothing is known of the submission."""


class _TestLine(msgspec.Struct):
    """A line of ``assess.test_runner``."""

    test: str | None = None
    status: str = ""
    found: str = ""
    expected: str = ""
    look: str = ""
    said: str = ""
    private: dict[str, str] = {}
    ask: dict[str, Any] | None = None
    jobs: list[JobSeen] | None = None
    log: str = ""


def grade(
    task: Task,
    lab: Lab,
    files: Callable[[], Mapping[str, bytes]],
    enter: Enter,
    limits: Limits,
    *,
    grader: str,
    image: str = "",
    tries: int = TRIES,
) -> Result:
    """Return the result of ``task``. ``files`` reads the verified submission, below the lab's folder. Raises nothing."""
    began = time.monotonic()
    number = 0
    found: dict[str, Any] = {"verdict": Verdict.SYSTEM_ERROR}
    while number < tries and found["verdict"] == Verdict.SYSTEM_ERROR:
        number += 1
        try:
            found = _once(task, lab, files(), enter, limits)
        except Exception as trouble:  # an error here must not become a mark or stop other submissions
            what = (
                str(trouble) if isinstance(trouble, HpclabError) else f"{type(trouble).__name__}: {trouble}"
            )
            found = {"verdict": Verdict.SYSTEM_ERROR, "problem": what[:4000]}
    return Result(
        task=task,
        lab_digest=lab.digest,
        grader=grader,
        image=image,
        seconds=round(time.monotonic() - began, 3),
        tries=number,
        **found,
    )


def _once(task: Task, lab: Lab, files: Mapping[str, bytes], enter: Enter, limits: Limits) -> dict[str, Any]:
    try:
        assembled = assemble.assemble(files, lab)
    except BadInput as bad:
        return {"verdict": Verdict.BAD_INPUT, "marks": verdict.nothing(lab), "problem": str(bad)}
    if assembled.tamper:
        return {
            "verdict": Verdict.TAMPER,
            "marks": verdict.nothing(lab),
            "notes": assembled.notes,
            "run": NotebookRun(ended=Termination.TAMPER, detail=assembled.tamper),
            "executed": executed.notebook(assembled.pieces, {}),
        }
    size = sum(map(len, files.values()))
    if size > limits.disk_mib << 19:  # the other half is for what the cells write
        much = f"what was handed in holds {size >> 20} MB, the most is {limits.disk_mib >> 1}"
        return {"verdict": Verdict.BAD_INPUT, "marks": verdict.nothing(lab), "problem": much}
    with enter(lab, limits) as sandbox:
        return _in_sandbox(task, lab, files, assembled, sandbox, limits)


def _in_sandbox(
    task: Task, lab: Lab, files: Mapping[str, bytes], assembled: Assembled, sandbox: Sandbox, limits: Limits
) -> dict[str, Any]:
    sandbox.put(learner_files(lab, files))
    cells = assembled.cells
    nonce = protocol.new_nonce()
    log = RunnerLog([cell["id"] for cell in cells], nonce)
    request = protocol.cells_request(
        cells, nonce=nonce, seconds=limits.seconds, output_bytes=limits.output_mib << 20
    )
    ended = sandbox.run_cells(request, log, limits)
    run = verdict.run_of(ended, failed=log.failed, last=log.last, all_ran=log.all_ran, forged=log.forged)
    notes = list(assembled.notes)
    if stopped := sandbox.stop_learner(limits):
        notes.append(f"left running, and stopped: {stopped.removeprefix('Stopped: ')}")
    shown = executed.notebook(assembled.pieces, log.outputs)
    common = {"run": run, "notes": tuple(notes), "executed": shown}
    if run.ended == Termination.TAMPER:
        return {"verdict": Verdict.TAMPER, "marks": verdict.nothing(lab), **common}
    marks, jobs, controller_log = _tests(task, lab, cells, sandbox, limits)
    return {
        "verdict": verdict.judge(run, marks),
        "marks": marks,
        "jobs": jobs,
        "log": controller_log,
        **common,
    }


def learner_files(lab: Lab, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the learner's files by path from the top: those submitted beside the notebook, and the lab's."""
    place = f"{lab.module}/{lab.name}"
    return dict(lab.files) | {f"{place}/{path}": data for path, data in files.items()}


def _tests(
    task: Task, lab: Lab, cells: list[dict[str, str]], sandbox: Sandbox, limits: Limits
) -> tuple[tuple[Mark, ...], tuple[JobSeen, ...], str]:
    """Return the marks. Raises Trouble where a test could not judge."""
    answers: dict[str, _TestLine] = {}
    last: list[_TestLine] = []
    program = [cell for cell in cells if cell["kind"] != "check"]

    def line(data: bytes) -> bytes | None:
        if len(data) > MOST_LINE:
            raise Trouble("the tests said more than they may", "Look at what the tests of this lab print.")
        try:
            answer = msgspec.json.decode(data, type=_TestLine)
        except (msgspec.MsgspecError, RecursionError) as problem:
            raise Trouble(f"a line of the tests cannot be read: {problem}") from None
        if answer.ask is not None:
            return _reply(answer.ask, lab, program, sandbox, limits)
        if answer.test is not None:
            answers[answer.test] = answer
        elif answer.jobs is not None:
            last.append(answer)
        return None

    request = {
        "tests": [{"id": test.id, "source": test.source, "hidden": test.hidden} for test in lab.tests],
        "seconds": limits.test_seconds,
        "learner": getattr(sandbox, "learner", "learner"),
        "jobs": lab.nodes > 0,
        "seed": task.seed,
    }
    # Time for each test, and for collecting the jobs.
    seconds = limits.test_seconds * (len(lab.tests) + 1) + 30
    ended = sandbox.run_tests(json.dumps(request).encode() + b"\n", line, seconds)
    missing = [test.id for test in lab.tests if test.id not in answers]
    if missing or ended.termination != Termination.DONE:
        how = f"{ended.termination}, status {ended.status}, signal {ended.signal}"
        raise Trouble(
            f"the tests ended early ({how}) without a word on: {', '.join(missing) or 'nothing'}"
            f"\n{ended.errors.strip()[-1500:]}"
        )
    marks = []
    for test in lab.tests:
        answer = answers[test.id]
        if answer.status not in ("passed", "failed"):
            raise Trouble(f"{test.id}: {answer.said or 'no answer'}")
        shown = {"found": answer.found, "expected": answer.expected, "look": answer.look}
        public = {} if test.hidden else shown
        marks.append(
            Mark(
                test=test.id,
                task=test.task,
                points=test.points,
                earned=test.points if answer.status == "passed" else 0.0,
                hidden=test.hidden,
                said=answer.said,
                private=answer.private.get("found", "") or answer.private.get("said", ""),
                **public,
            )
        )
    jobs = last[0] if last else _TestLine()
    return tuple(marks), tuple(jobs.jobs or ()), jobs.log


def _reply(
    question: dict[str, Any], lab: Lab, cells: list[dict[str, str]], sandbox: Sandbox, limits: Limits
) -> bytes:
    """Ask a test's question in a new sandbox with the learner's program; returns one line.

    A replay includes the program, and uses the lab's own files instead of the learner's cells.
    """
    question, files = dict(question), None
    source, given = question.pop("source", None), question.pop("given", ())
    if source is not None:
        cells = [
            {"id": cell.id, "kind": cell.kind, "source": cell.source}
            for cell in lab.cells
            if cell.kind == "given" and cell.source.startswith(tuple(f"%%writefile {one}\n" for one in given))
        ]
        cells.append({"id": "replay", "kind": "given", "source": source})
        files = dict(lab.files)
    # The first sandbox still has the learner's files, and both must fit into one job.
    if lab.nodes:
        limits = msgspec.structs.replace(
            limits, memory_mib=limits.memory_mib // 2, disk_mib=limits.disk_mib // 2
        )
    request = protocol.question_request(cells, question, seconds=limits.test_seconds)
    try:
        return protocol.answer_line(sandbox.ask_program(request, limits, files))
    except HpclabError as problem:
        return protocol.trouble_line(str(problem))
