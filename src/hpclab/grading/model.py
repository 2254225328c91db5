"""The values that grading works with: labs, submissions, limits, marks of tests, verdicts, results."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from hpclab.sandbox.limits import IsolationLimits
from hpclab.sandbox.termination import Termination


class Verdict(StrEnum):
    """The outcome of a submission in one word, beside its mark."""

    PASS = "PASS"  # every point
    PARTIAL = "PARTIAL"  # some points
    FAIL = "FAIL"  # ran to the end and earned nothing
    TIMEOUT = "TIMEOUT"  # stopped at the time limit; what it had done by then is graded
    MEMORY = "MEMORY"  # stopped at the limit of memory or processes; graded likewise
    OUTPUT_LIMIT = "OUTPUT_LIMIT"  # printed or wrote too much; graded likewise
    CRASH = "CRASH"  # the interpreter exited too early; graded likewise
    TAMPER = "TAMPER"  # contains something that normal work cannot produce; earns nothing until an instructor has looked at it
    BAD_INPUT = "BAD_INPUT"  # cannot be read as this lab; earns nothing
    SYSTEM_ERROR = "SYSTEM_ERROR"  # grading failed: no mark; tried again, then shown to the instructor


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One code cell of a lab. ``kind``: "answer" (the student's), "check" (shown to the student) or "given"."""

    id: str
    kind: str
    source: str  # of an answer: the stub in the released notebook


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """One test cell: its id in nbgrader's terms, the task it belongs to, its points, its code."""

    id: str
    task: str
    points: float
    source: str
    hidden: bool = False


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """A lab as grading needs it. It contains hidden tests, so students never see it.

    ``notebook`` is the student's notebook as it was released (JSON text), ``cells`` its code cells in
    order, ``tests`` all tests in order. ``nodes`` 0: it needs no cluster. ``files`` are beside the notebook
    or in ``templates`` (paths from the top of the student's folder). ``digest`` identifies all of it.
    """

    module: str
    name: str
    title: str
    points: float
    seconds: int
    nodes: int
    containers: bool
    notebook: str
    cells: tuple[Cell, ...]
    tests: tuple[Test, ...]
    files: dict[str, bytes] = {}
    digest: str = ""

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks in the lab's order."""
        return list(dict.fromkeys(test.task for test in self.tests))


class Limits(IsolationLimits, frozen=True, kw_only=True):
    """The limits of one submission."""

    job_wait_seconds: float  # seconds for jobs that still run when the last cell has ended
    test_seconds: float  # for one test
    output_mib: int  # all cells' output together


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One submission to grade. ``hash`` identifies the content, ``number`` counts the student's versions."""

    lab: str
    student: str
    number: int
    hash: str
    received: float  # seconds since the epoch, by the server's clock
    uuid: str  # in the comment of the job that grades it
    seed: int


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The mark of one test. ``said`` is for the student; for a hidden test it is fixed wording.

    ``private`` is what a hidden test found, only for the instructor's report.
    """

    test: str
    task: str
    points: float
    earned: float
    hidden: bool = False
    found: str = ""
    expected: str = ""
    look: str = ""
    said: str = ""
    private: str = ""


class JobSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A job of the student as accounting has it, for the timeline. Times in seconds since the epoch."""

    id: str
    name: str
    state: str
    submit: float | None = None
    start: float | None = None
    end: float | None = None
    nodes: str = ""
    exit_code: int | None = None


class NotebookRun(msgspec.Struct, frozen=True, kw_only=True):
    """How the student's cells ended, as the sandbox observed it."""

    ended: Termination
    seconds: float = 0.0
    last_cell: str = ""  # id of the last cell that began
    detail: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One graded submission. Depends only on (submission, lab, grader, seed), except ``seconds`` and ``jobs``.

    ``notes`` say what was repaired (a changed check, a copied cell). ``executed`` is the student's notebook
    with its output, bounded in size: untrusted text, only for feedback.
    """

    task: Task
    lab_digest: str
    grader: str  # version of this package
    image: str = ""  # digest of the image that the grader ran in, if any
    verdict: Verdict
    marks: tuple[Mark, ...] = ()
    run: NotebookRun | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""  # of SYSTEM_ERROR and BAD_INPUT: what, and what to do
    jobs: tuple[JobSeen, ...] = ()
    log: str = ""  # the end of the output of the last job that failed
    executed: str = ""
    seconds: float = 0.0
    tries: int = 1

    @property
    def earned(self) -> float:
        return sum(mark.earned for mark in self.marks)

    @property
    def points(self) -> float:
        return sum(mark.points for mark in self.marks)
