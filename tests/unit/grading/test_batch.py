"""Many submissions: who grades what, which results count, and a job array that is watched."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hpclab.errors import CommandFailed, DeadlineExceeded, GradingError
from hpclab.grading import array, batch
from hpclab.grading.assess import verdict
from hpclab.grading.batch import Batch
from hpclab.grading.execute import limits
from hpclab.grading.model import Lab, Mark, NotebookRun, Result, Task, Verdict
from hpclab.grading.submissions import objects
from hpclab.slurm import SQUEUE_FIELDS
from tests.unit.grading import labs

UUID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return labs.make(tmp_path_factory.mktemp("course"))


def made(lab: Lab, *students: str, hash: str = "") -> Batch:
    limit = limits.limits(lab)
    return Batch(
        id="b1",
        uuid=UUID,
        lab=lab.name,
        module=lab.module,
        nodes=0,
        lab_digest=lab.digest,
        grader="g1",
        limits=limit,
        needs=limits.needs(lab, limit, 3),
        tasks=tuple(
            Task(lab=lab.name, student=one, number=1, hash=hash or one * 8, received=1.0, uuid=UUID, seed=5)
            for one in students
        ),
    )


def good(lab: Lab, task: Task, **more: Any) -> Result:
    marks = [
        Mark(test=test.id, task=test.task, points=test.points, earned=test.points, hidden=test.hidden)
        for test in lab.tests
    ]
    plain = {"verdict": Verdict.PASS, "marks": tuple(marks), "run": NotebookRun(ended="done")}
    return Result(**{"task": task, "lab_digest": lab.digest, "grader": "g1", **plain, **more})


@pytest.fixture
def spool(lab: Lab, tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    batch.write_spool(folder, made(lab, "ada", "bo"), lab, lambda _hash: {"x.ipynb": b"{}"})
    return folder


# ---- the spool -------------------------------------------------------------------------------


def test_what_is_laid_out_is_read_back(lab: Lab, spool: Path) -> None:
    read = batch.read(spool)
    assert read == made(lab, "ada", "bo")
    assert batch.read_lab(spool, read) == lab
    with pytest.raises(GradingError, match="is not the lab"):
        batch.read_lab(spool, msgspec.structs.replace(read, lab_digest="other"))


def test_a_submission_has_the_name_that_the_store_gives_it_and_is_checked(lab: Lab, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    (staged / "deep").mkdir(parents=True)
    files = {"a.ipynb": b"{}", "deep/b.txt": b"\xff", "empty": b""}
    for path, data in files.items():
        (staged / path).write_bytes(data)
    name, _ = objects.put(tmp_path / "objects", staged)
    assert objects.digest_of_files(files) == name
    mine = made(lab, "ada", hash=name)
    batch.write_spool(tmp_path / "spool", mine, lab, lambda _hash: files)
    assert batch.submission(tmp_path / "spool", mine.tasks[0]) == files
    (tmp_path / "spool/submissions" / name).write_bytes(batch.pack(files | {"a.ipynb": b"[]"}))
    with pytest.raises(GradingError, match="is not what was received"):
        batch.submission(tmp_path / "spool", mine.tasks[0])
    (tmp_path / "spool/submissions" / name).write_bytes(b"\xc1")
    with pytest.raises(GradingError):
        batch.submission(tmp_path / "spool", mine.tasks[0])


# ---- which results count ---------------------------------------------------------------------


def test_a_result_counts_once_its_mark_is_there(lab: Lab, spool: Path) -> None:
    ada, bo = made(lab, "ada", "bo").tasks
    one = made(lab, "ada", "bo")
    assert batch.result(spool, one, ada, lab) == ""
    batch.write_result(spool, good(lab, ada))
    assert batch.result(spool, one, ada, lab) == good(lab, ada)
    assert batch.result(spool, one, bo, lab) == ""
    (spool / "results/ada.done").unlink()
    assert batch.result(spool, one, ada, lab) == ""


def _changed(mark: int, **more: Any) -> Callable[[Result], Result]:
    def change(one: Result) -> Result:
        marks = list(one.marks)
        marks[mark] = msgspec.structs.replace(marks[mark], **more)
        return msgspec.structs.replace(one, marks=tuple(marks))

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: msgspec.structs.replace(one, grader="g0"), "another version"),
        (lambda one: msgspec.structs.replace(one, lab_digest="x"), "another version"),
        (
            lambda one: msgspec.structs.replace(one, task=msgspec.structs.replace(one.task, student="bo")),
            "another task",
        ),
        (
            lambda one: msgspec.structs.replace(one, task=msgspec.structs.replace(one.task, uuid="x")),
            "another task",
        ),
        (lambda one: msgspec.structs.replace(one, marks=one.marks[:-1]), "other tests"),
        (lambda one: msgspec.structs.replace(one, marks=one.marks * 2), "other tests"),
        (_changed(0, points=100.0, earned=100.0), "other tests"),
        (_changed(0, hidden=True), "other tests"),
        (_changed(0, earned=2.0), "cannot be"),
        (_changed(0, earned=-1.0), "cannot be"),
        (
            lambda one: msgspec.structs.replace(one, verdict=Verdict.SYSTEM_ERROR),
            "marks for an error of the grader",
        ),
    ],
)
def test_a_result_that_cannot_be_does_not_count(
    lab: Lab, spool: Path, change: Callable[[Result], Result], says: str
) -> None:
    one = made(lab, "ada", "bo")
    changed = change(good(lab, one.tasks[0]))
    data = msgspec.json.encode(changed)
    (spool / "results/ada.json").write_bytes(data)
    (spool / "results/ada.done").write_text(hashlib.sha256(data).hexdigest())
    found = batch.result(spool, one, one.tasks[0], lab)
    assert isinstance(found, str)
    assert says in found


def test_nothing_but_a_regular_file_of_a_usual_size_is_read(lab: Lab, spool: Path, tmp_path: Path) -> None:
    import os

    one = made(lab, "ada", "bo")
    batch.write_result(spool, good(lab, one.tasks[0]))
    path, seal = spool / "results/ada.json", spool / "results/ada.done"
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    for make in (
        lambda: path.symlink_to(elsewhere),
        lambda: os.mkfifo(path),
        path.mkdir,
        lambda: path.write_bytes(b"\0" * (batch.MOST_RESULT + 1)),
        lambda: path.write_bytes(elsewhere.read_bytes()[:-1]),
        lambda: path.write_bytes(b"\xff"),
    ):
        make()
        assert batch.result(spool, one, one.tasks[0], lab) not in ("", good(lab, one.tasks[0]))
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    elsewhere.rename(path)
    assert isinstance(batch.result(spool, one, one.tasks[0], lab), Result)
    seal.write_text("0" * 64)
    assert "does not fit its hash" in str(batch.result(spool, one, one.tasks[0], lab))


def test_nothing_earned_has_all_tests(lab: Lab) -> None:
    one = made(lab, "ada")
    nothing = good(lab, one.tasks[0], verdict=Verdict.BAD_INPUT, marks=verdict.nothing(lab))
    assert batch.wrong_with(nothing, one, one.tasks[0], lab) == ""
    assert batch.build_system_error(one, one.tasks[0], "why", 3).marks == ()


# ---- who grades what -------------------------------------------------------------------------


def test_with_a_cluster_a_task_grades_one_without_it_a_pack() -> None:
    class_ = [f"s{number}" for number in range(40)]
    assert batch.packs(class_, plain=False, at_once=4, again=False) == [[one] for one in class_]
    shared = batch.packs(class_, plain=True, at_once=4, again=False)
    assert [len(one) for one in shared] == [10] * 4
    assert [student for one in shared for student in one] == class_
    assert {len(one) for one in batch.packs(class_, plain=True, at_once=1, again=False)} == {32, 8}
    assert batch.packs(class_, plain=True, at_once=4, again=True) == [[one] for one in class_]
    assert batch.packs([], plain=True, at_once=4, again=False) == []
    assert len(batch.packs([str(n) for n in range(3000)], plain=False, at_once=9, again=False)) == 1000


def test_a_task_finds_its_students(spool: Path) -> None:
    batch.write_round(spool, 2, [["ada"], ["bo"]])
    assert batch.read_round(spool, 2, 1) == ["bo"]
    with pytest.raises(GradingError):
        batch.read_round(spool, 2, 2)
    with pytest.raises(GradingError):
        batch.read_round(spool, 3, 0)


# ---- the array -------------------------------------------------------------------------------


class Queue:
    """A Slurm that says what it is told to: each look takes the next of ``looks`` (None: it does not answer)."""

    def __init__(self, *looks: Sequence[tuple[str, str, str, str]] | None) -> None:
        self.looks = list(looks)
        self.asked: list[list[str]] = []

    def __call__(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.asked.append(list(argv))
        if "squeue" not in argv:
            out = "me\n" if argv[0] == "id" else "17\n"
            return subprocess.CompletedProcess(argv, 0, out, "sbatch: a remark\n")
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if look is None:
            return subprocess.CompletedProcess(argv, 1, "", "slurm_load_jobs error: Connection refused")
        separator = next(one for one in argv if one.startswith("--format=")).split("%i")[1].split("%A")[0]
        rows = []
        for number, state, reason, comment in look:
            record = dict.fromkeys(SQUEUE_FIELDS, "") | {"id": number, "raw_id": "1", "state": state}
            rows.append(separator.join((record | {"reason": reason, "comment": comment}).values()))
        return subprocess.CompletedProcess(argv, 0, "\n".join(rows) + "\n", "")

    def did(self, program: str) -> list[list[str]]:
        return [argv for argv in self.asked if program in argv]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Time goes on by pauses only."""
    now = [0.0]
    monkeypatch.setattr(array.time, "monotonic", lambda: now[0])

    def pause(seconds: float) -> None:
        now[0] += seconds

    yield pause


def watch(queue: Queue, one: Batch, pause: Callable[[float], None], **more: Any) -> list[str]:
    said: list[str] = []
    settings = {"done": lambda: 0, "queued": 60.0, "slowest": 5.0} | more
    array.watch(queue, one, settings.pop("done"), said.append, pause, **settings)
    return said


RUNS = ("17_0", "RUNNING", "", UUID)


def test_it_is_submitted_with_all_that_its_lab_needs(lab: Lab, tmp_path: Path) -> None:
    queue = Queue([])
    one = made(lab, "ada", "bo")
    assert (
        array.submit(queue, tmp_path / "x.sbatch", tmp_path, one, 1, [["ada"], ["eve"]], 4, ["--qos=q"])
        == "17"
    )
    [argv] = queue.did("sbatch")
    assert {f"--comment={UUID}", "--array=0-1%4", f"--mem={one.needs.memory_mib}", "--qos=q"} <= set(argv)
    assert argv[-4:] == [array.sys.executable, str(tmp_path), "1", ""]


def test_a_pack_has_more_time_than_one(lab: Lab, tmp_path: Path) -> None:
    queue = Queue([])
    one = made(lab, "ada", "bo")
    for shared in ([["ada"]], [[f"s{number}" for number in range(17)], ["bo"]]):
        array.submit(queue, tmp_path / "x.sbatch", tmp_path, one, 1, shared, 4)
    alone, packed = (
        next(int(word.removeprefix("--time=")) for word in argv if word.startswith("--time="))
        for argv in queue.did("sbatch")
    )
    assert 60 * (alone - 1) < one.needs.seconds <= 60 * alone
    assert 60 * (packed - 1) < 3 * one.needs.seconds <= 60 * packed


def test_it_waits_until_none_of_its_own_is_left(lab: Lab, clock: Callable[[float], None]) -> None:
    stranger = ("17_1", "RUNNING", "", "somebody else's")  # the same number, after Slurm began to count again
    queue = Queue([RUNS, stranger], [RUNS], [stranger])
    said = watch(queue, made(lab, "ada"), clock)
    assert len(queue.did("squeue")) == 3
    assert said[0] == "1 task running"
    assert not queue.did("scancel")


def test_a_controller_that_is_away_is_waited_for_but_not_for_ever(
    lab: Lab, clock: Callable[[float], None]
) -> None:
    watch(Queue([RUNS], None, None, [RUNS], []), made(lab, "ada"), clock)
    with pytest.raises(CommandFailed):
        watch(Queue([RUNS], None), made(lab, "ada"), clock)


def test_what_nobody_will_start_is_cancelled(lab: Lab, clock: Callable[[float], None]) -> None:
    held = ("17_0", "PENDING", "launch failed requeued held", UUID)
    queue = Queue([held], [])
    watch(queue, made(lab, "ada"), clock)
    assert queue.did("scancel") == [["scancel", "17_0"]]


def test_when_nothing_starts_it_gives_up_and_cancels(lab: Lab, clock: Callable[[float], None]) -> None:
    queue = Queue([("17_[0-3]", "PENDING", "Resources", UUID)])
    with pytest.raises(DeadlineExceeded, match="it waited for: Resources"):
        watch(queue, made(lab, "ada"), clock)
    assert ["scancel", "17"] in queue.asked


def test_a_stop_cancels_the_batch_s_own_jobs_only(lab: Lab) -> None:
    class Stop(Exception):
        pass

    def pause(_seconds: float) -> None:
        raise Stop

    queue = Queue([RUNS, ("18", "RUNNING", "", "other")])
    with pytest.raises(Stop):
        watch(queue, made(lab, "ada"), pause)
    assert queue.did("scancel") == [["scancel", "17_0"]]
