"""Many submissions: what is to be graded, what is done, what is left, in a folder that the tasks share.

The spool is such a folder: it lies where the nodes see it, and holds copies, so that a task sees nothing
of the class. It is made before the first job, and removed when all results are in the class's folder.

    batch.json              the tasks, limits, who grades
    lab.json                the lab, hidden tests and all
    submissions/HASH        one submission in one file
    rounds/N.json           round N: for each task of its job array the students it grades
    results/STUDENT.json    a Result; valid only with STUDENT.done, its SHA-256, which is written last
    canary/KIND.json        what the probes found on nodes of this kind
    canary/refused          why a node grades nothing; then nothing is graded
    log/

A task's account is trusted with marks, but what it wrote is looked at before it counts: a regular file,
of bounded size, that fits its hash, names the very task that was given out, and has the lab's own tests.
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
MOST_TASKS = 1000  # of one job array: Slurm's own limit, unless a site changed it (MaxArraySize)
LARGEST_PACK = 32  # plain submissions of one task: the last ones wait for all before them
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
    parts: tuple[str, ...] = ()  # the files that the grader's name is made from
    image: str = ""
    limits: Limits
    needs: Needs
    tasks: tuple[Task, ...]


class NodeRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a node grades nothing: a probe got out, or it cannot isolate a submission. ``canary/refused`` holds one."""

    problem: str
    remedy: str = ""


# ---- what is written for the tasks ----------------------------------------------------------


def write_spool(spool: Path, batch: Batch, lab: Lab, files: Callable[[str], Mapping[str, bytes]]) -> None:
    """Write the spool of ``batch``; ``files`` reads the submission of a hash. The batch comes last."""
    for name in ("results", "canary", "log", "rounds", "submissions"):
        (spool / name).mkdir(parents=True, exist_ok=True)
    for content in sorted({task.hash for task in batch.tasks}):
        write_whole(spool / "submissions" / content, pack(files(content)))
    write_whole(spool / "lab.json", msgspec.json.encode(lab))
    write_whole(spool / "batch.json", msgspec.json.encode(batch))


def is_written(spool: Path) -> bool:
    """Whether all of a spool is there, so that tasks may have begun."""
    return (spool / "batch.json").exists()


def read(spool: Path) -> Batch:
    """The batch in ``spool``. Raises GradingError."""
    return _decoded(spool / "batch.json", Batch)


def read_lab(spool: Path, batch: Batch) -> Lab:
    """The lab that ``batch`` grades. Raises GradingError."""
    lab = _decoded(spool / "lab.json", Lab)
    if lab.digest != batch.lab_digest:
        raise GradingError(
            f"{spool}/lab.json is not the lab that the batch names", "Start the grading again."
        )
    return lab


def pack(files: Mapping[str, bytes]) -> bytes:
    """A submission as one file."""
    return msgspec.msgpack.encode(dict(sorted(files.items())))


def submission(spool: Path, task: Task) -> dict[str, bytes]:
    """The files of ``task``'s submission, which must be those that its hash names. Raises GradingError."""
    path = spool / "submissions" / task.hash
    try:
        found = msgspec.msgpack.decode(_regular(path, MOST_SUBMISSION), type=dict[str, bytes])
    except (OSError, msgspec.MsgspecError) as problem:
        raise GradingError(f"{path}: {problem}", "Start the grading again.") from None
    if objects.digest_of_files(found) != task.hash:
        raise GradingError(f"{path} is not what was received", "Look at the class with `hpclab audit`.")
    return found


# ---- who grades what -------------------------------------------------------------------------


def packs(students: Sequence[str], *, plain: bool, at_once: int, again: bool) -> list[list[str]]:
    """What each task of an array grades.

    With a cluster, one submission each. Starting a task costs more than grading a plain one, so those come
    in packs, as many as run at once, of limited size; whoever comes again stands alone, so that nobody else
    is lost with it.
    """
    size = 1
    if plain and not again:
        size = min(LARGEST_PACK, max(1, math.ceil(len(students) / max(1, at_once))))
    found = [list(students[first : first + size]) for first in range(0, len(students), size)]
    return found[:MOST_TASKS]


def seconds_of(batch: Batch, shared: Sequence[Sequence[str]]) -> float:
    """The time limit of each task of a round. Of a pack few take all the time there is; if many do, the others
    are graded in the next round."""
    return batch.needs.seconds * (1 + (max(map(len, shared)) - 1) / 8)


def write_round(spool: Path, number: int, shared: Sequence[Sequence[str]]) -> None:
    write_whole(spool / "rounds" / f"{number}.json", msgspec.json.encode(shared))


def read_round(spool: Path, number: int, index: int) -> list[str]:
    """The students whom task ``index`` of round ``number`` grades. Raises GradingError."""
    shared = _decoded(spool / "rounds" / f"{number}.json", list[list[str]])
    if not 0 <= index < len(shared):
        raise GradingError(f"round {number} has {len(shared)} tasks, none is number {index}", "")
    return shared[index]


def refusal(spool: Path) -> NodeRefusal | None:
    """Why a node refused to grade, if one did."""
    try:
        data = _regular(spool / "canary" / "refused", 1 << 20)
        return msgspec.json.decode(data, type=NodeRefusal)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as problem:
        return NodeRefusal(problem=f"a node refused to grade, and its reason cannot be read: {problem}")


# ---- results ---------------------------------------------------------------------------------


def write_result(spool: Path, result: Result) -> None:
    """Write a result, then the mark that it is whole."""
    data = msgspec.json.encode(result)
    folder = spool / "results"
    write_whole(folder / f"{result.task.student}.json", data)
    write_whole(folder / f"{result.task.student}.done", hashlib.sha256(data).hexdigest().encode())


def result(spool: Path, batch: Batch, task: Task, lab: Lab) -> Result | str:
    """The result of ``task``; or why there is none, in words ('' where nothing was written at all)."""
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
    """Why ``found`` is not the result of ``task``; ''."""
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


def gave_up(batch: Batch, task: Task, why: str, tries: int) -> Result:
    """The result of a submission that no task finished: for the instructor to look at, and no mark."""
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
    """What must be the same, however often and wherever a submission is graded."""
    return result.verdict, tuple((mark.test, mark.earned) for mark in result.marks)


def counts(results: Iterable[Result]) -> dict[Verdict, int]:
    """How many results have each verdict, in the order of the verdicts."""
    verdicts = [result.verdict for result in results]
    return {verdict: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}


def _decoded(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as problem:
        raise GradingError(f"{path}: {problem}", "Start the grading again.") from None


def _regular(path: Path, most: int) -> bytes:
    """The content of a regular file that is no link. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as opened:
        state = os.fstat(file)
        if not stat.S_ISREG(state.st_mode) or state.st_size > most:
            raise OSError(22, "is not a regular file of a usual size", str(path))
        return opened.read(most)
