"""What grading talks of: labs, submissions, limits, what a test said, verdicts, results. Plain values."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from hpclab.sandbox.limits import IsolationLimits
from hpclab.sandbox.termination import Termination


class Verdict(StrEnum):
    """What became of a submission, in one word. The mark stands beside it."""

    PASS = "PASS"  # every point
    PARTIAL = "PARTIAL"  # some points
    FAIL = "FAIL"  # ran as it should and earned nothing
    TIMEOUT = "TIMEOUT"  # its time was over; what it had done by then is marked
    MEMORY = "MEMORY"  # stopped for its memory or its processes; likewise
    OUTPUT_LIMIT = "OUTPUT_LIMIT"  # printed or wrote too much; likewise
    CRASH = "CRASH"  # its interpreter died; likewise
    TAMPER = "TAMPER"  # something that no honest way leads to; nothing is earned until a person has looked
    BAD_INPUT = "BAD_INPUT"  # what was handed in cannot be read as this lab; nothing is earned
    SYSTEM_ERROR = "SYSTEM_ERROR"  # our fault: no mark at all, tried again, then shown to the instructor


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One code cell of a lab. ``kind``: "answer" (the learner's), "check" (runs, for the learner's eyes) or "given"."""

    id: str
    kind: str
    source: str  # of an answer: the stub that the learner found


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """One test cell: its id in nbgrader's terms, the task it belongs to, its points, its code."""

    id: str
    task: str
    points: float
    source: str
    hidden: bool = False


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """What grading has to know of an exercise; hidden tests are in here, so it is never shown to a learner.

    ``notebook`` is the learner's notebook as it was released (JSON text), ``cells`` its code cells in
    order, ``tests`` all tests in order. ``nodes`` 0: it needs no cluster. ``files`` lie beside the notebook
    or in ``templates`` (paths from the top of the learner's folder). ``digest`` names all of it.
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


class Limits(IsolationLimits, frozen=True, kw_only=True):
    """What one submission may use."""

    settle_seconds: float  # for jobs that still run when the last cell has ended
    test_seconds: float  # one test
    output_mib: int  # what the cells print, all together


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One submission that waits for its mark. ``hash`` names the content, ``number`` counts the student's versions."""

    lab: str
    student: str
    number: int
    hash: str
    received: float  # seconds since the epoch, by the server's clock
    uuid: str  # in the comment of the job that grades it
    seed: int


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What one test gave. ``said`` is for the learner; of a hidden test only fixed words are.

    ``private`` is what a hidden test found, for the instructor's report and nobody else.
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
    """A job of the learner as accounting has it, for the timeline. Times in seconds since the epoch."""

    id: str
    name: str
    state: str
    submit: float | None = None
    start: float | None = None
    end: float | None = None
    nodes: str = ""
    exit_code: int | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How the learner's cells went, as the sandbox's keeper saw it; no word of the learner's own."""

    ended: Termination
    seconds: float = 0.0
    last_cell: str = ""  # id of the last cell that began
    detail: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One submission, graded. A function of (submission, lab, grader, seed) alone, but for ``seconds`` and ``jobs``.

    ``notes`` tell what was put right (a changed check, a copied cell). ``executed`` is the learner's notebook
    with what it printed, cut to size: a stranger's text, for feedback only.
    """

    task: Task
    lab_digest: str
    grader: str  # version of this package
    image: str = ""  # digest of the image that the grader ran in, if any
    verdict: Verdict
    marks: tuple[Mark, ...] = ()
    run: Run | None = None
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
