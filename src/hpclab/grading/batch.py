"""The spool of a grading run: submissions to grade, results, and state, in a folder that the tasks share.

The nodes see the spool. It holds copies, so that a task sees nothing else of the course. It is made before the
first job, and removed when all results are in the course's folder.

    batch.json              the tasks, the limits, the grader
    lab.json                the lab, including hidden tests
    submissions/HASH        one submission in one file
    rounds/N.json           round N: the students that each task of its job array grades
    results/STUDENT.json    a Result; valid only with STUDENT.done, its SHA-256, which is written last
    canary/KIND.json        the probes' outcome on nodes of this kind
    canary/refused          why a node refuses to grade; then nothing is graded
    log/

A task's account is trusted with marks, but its results are checked before they count: a regular file of
bounded size that matches its hash, names the assigned task, and has the lab's tests.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from hpclab.errors import GradingError
from hpclab.files import write_whole
from hpclab.grading.execute.limits import Needs
from hpclab.grading.model import Lab, Limits, Result, Task, Verdict
from hpclab.grading.submissions import objects

T = TypeVar("T")
MOST_RESULT = 8 << 20  # bytes of one result
MOST_SUBMISSION = 1 << 30
MOST_TASKS = 1000  # of one job array: Slurm's default, unless a site changed it (MaxArraySize)
LARGEST_PACK = 32  # plain submissions of one task: its last ones wait for all before them
TRIES = 3  # rounds in which a submission may take part


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One grading run of one lab."""

    id: str
    uuid: str  # in the comment of its jobs
    lab: str
    module: str
    nodes: int
    lab_digest: str
    grader: str
    parts: tuple[str, ...] = ()  # the files that the grader's name is derived from
    image: str = ""
    limits: Limits
    needs: Needs
    tasks: tuple[Task, ...]


class NodeRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a node refuses to grade: a probe escaped, or it can't isolate a submission. Stored in ``canary/refused``."""

    problem: str
    remedy: str = ""


# ---- files for the tasks -----------------------------------------------------------------------


def write_spool(spool: Path, batch: Batch, lab: Lab, files: Callable[[str], Mapping[str, bytes]]) -> None:
    """Write the spool of ``batch``; ``files`` reads the submission of a hash. The batch is written last."""
    for name in ("results", "canary", "log", "rounds", "submissions"):
        (spool / name).mkdir(parents=True, exist_ok=True)
    for content in sorted({task.hash for task in batch.tasks}):
        write_whole(spool / "submissions" / content, pack(files(content)))
    write_whole(spool / "lab.json", msgspec.json.encode(lab))
    write_whole(spool / "batch.json", msgspec.json.encode(batch))


def is_written(spool: Path) -> bool:
    """Return whether the spool is complete, so that tasks may have begun."""
    return (spool / "batch.json").exists()


def read(spool: Path) -> Batch:
    """Return the batch in ``spool``. Raises GradingError."""
    return _decoded(spool / "batch.json", Batch)


def read_lab(spool: Path, batch: Batch) -> Lab:
    """Return the lab that ``batch`` grades. Raises GradingError."""
    lab = _decoded(spool / "lab.json", Lab)
    if lab.digest != batch.lab_digest:
        raise GradingError(
            f"{spool}/lab.json is not the lab that the batch names", "Start the grading again."
        )
    return lab


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a submission as one file."""
    return msgspec.msgpack.encode(dict(sorted(files.items())))


def submission(spool: Path, task: Task) -> dict[str, bytes]:
    """Return the files of ``task``'s submission after checking its hash. Raises GradingError."""
    path = spool / "submissions" / task.hash
    try:
        found = msgspec.msgpack.decode(_regular(path, MOST_SUBMISSION), type=dict[str, bytes])
    except (OSError, msgspec.MsgspecError) as problem:
        raise GradingError(f"{path}: {problem}", "Start the grading again.") from None
    if objects.digest_of_files(found) != task.hash:
        raise GradingError(f"{path} is not what was received", "Look at the class with `hpclab audit`.")
    return found


# ---- rounds -----------------------------------------------------------------------------------


def packs(students: Sequence[str], *, plain: bool, at_once: int, again: bool) -> list[list[str]]:
    """Return the students that each task of an array grades.

    With a cluster, one submission per task. Starting a task costs more than grading a plain one, so plain ones
    come in packs of limited size, as many packs as run at once. A submission that is retried is alone, so that
    its failure doesn't affect others.
    """
    size = 1
    if plain and not again:
        size = min(LARGEST_PACK, max(1, math.ceil(len(students) / max(1, at_once))))
    found = [list(students[first : first + size]) for first in range(0, len(students), size)]
    return found[:MOST_TASKS]


def seconds_of(batch: Batch, shared: Sequence[Sequence[str]]) -> float:
    """Return the time limit of each task of a round, in seconds.

    Few submissions of a pack use all their time; if many do, the others are graded in the next round.
    """
    return batch.needs.seconds * (1 + (max(map(len, shared)) - 1) / 8)


def write_round(spool: Path, number: int, shared: Sequence[Sequence[str]]) -> None:
    write_whole(spool / "rounds" / f"{number}.json", msgspec.json.encode(shared))


def read_round(spool: Path, number: int, index: int) -> list[str]:
    """Return the students whom task ``index`` of round ``number`` grades. Raises GradingError."""
    shared = _decoded(spool / "rounds" / f"{number}.json", list[list[str]])
    if not 0 <= index < len(shared):
        raise GradingError(f"round {number} has {len(shared)} tasks, none is number {index}", "")
    return shared[index]


def refusal(spool: Path) -> NodeRefusal | None:
    """Return why a node refused to grade, if one did."""
    try:
        data = _regular(spool / "canary" / "refused", 1 << 20)
        return msgspec.json.decode(data, type=NodeRefusal)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as problem:
        return NodeRefusal(problem=f"a node refused to grade, and its reason cannot be read: {problem}")


# ---- results ---------------------------------------------------------------------------------


def write_result(spool: Path, result: Result) -> None:
    """Write a result, then the hash that marks it as complete."""
    data = msgspec.json.encode(result)
    folder = spool / "results"
    write_whole(folder / f"{result.task.student}.json", data)
    write_whole(folder / f"{result.task.student}.done", hashlib.sha256(data).hexdigest().encode())


def result(spool: Path, batch: Batch, task: Task, lab: Lab) -> Result | str:
    """Return the result of ``task``, or the reason why there is none ('' where no result was written)."""
    folder = spool / "results"
    try:
        expected = _regular(folder / f"{task.student}.done", 64)
        data = _regular(folder / f"{task.student}.json", MOST_RESULT)
    except FileNotFoundError:
        return ""
    except OSError as problem:
        return f"{problem.filename}: {problem.strerror}"
    if hashlib.sha256(data).hexdigest().encode() != expected:
        return f"the result of {task.student} does not fit its hash"
    try:
        found = msgspec.json.decode(data, type=Result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        return f"the result of {task.student} cannot be read: {problem}"
    return found if not (why := wrong_with(found, batch, task, lab)) else why


def wrong_with(found: Result, batch: Batch, task: Task, lab: Lab) -> str:
    """Return why ``found`` is not a valid result of ``task``, or ''."""
    if found.task != task:
        return f"the result of {task.student} is that of another task"
    if (found.lab_digest, found.grader) != (batch.lab_digest, batch.grader):
        return f"the result of {task.student} is by another version of the lab or of the grader"
    if found.verdict == Verdict.SYSTEM_ERROR:
        return "" if not found.marks else f"the result of {task.student} has marks for an error of the grader"
    given = [(mark.test, mark.task, mark.points, mark.hidden) for mark in found.marks]
    if given != [(test.id, test.task, test.points, test.hidden) for test in lab.tests]:
        return f"the result of {task.student} has other tests than the lab"
    if not all(0 <= mark.earned <= mark.points for mark in found.marks):  # false for NaN too
        return f"the result of {task.student} has marks that cannot be"
    return ""


def build_system_error(batch: Batch, task: Task, why: str, tries: int) -> Result:
    """Return the result of a submission that no task finished: no mark, for the instructor to look at."""
    return Result(
        task=task,
        lab_digest=batch.lab_digest,
        grader=batch.grader,
        image=batch.image,
        verdict=Verdict.SYSTEM_ERROR,
        problem=why,
        tries=tries,
    )


def marks_of(result: Result) -> tuple[Verdict, tuple[tuple[str, float], ...]]:
    """Return the parts of a result that must be the same however often and wherever a submission is graded."""
    return result.verdict, tuple((mark.test, mark.earned) for mark in result.marks)


def counts(results: Iterable[Result]) -> dict[Verdict, int]:
    """Count the results by verdict, in the order of the verdicts."""
    verdicts = [result.verdict for result in results]
    return {verdict: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}


def _decoded(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as problem:
        raise GradingError(f"{path}: {problem}", "Start the grading again.") from None


def _regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file that is not a symbolic link. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as opened:
        state = os.fstat(file)
        if not stat.S_ISREG(state.st_mode) or state.st_size > most:
            raise OSError(22, "is not a regular file of a usual size", str(path))
        return opened.read(most)
