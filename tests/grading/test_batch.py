"""A class graded by workers of this machine, or by a job array: what is killed or lost changes no mark."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from hpclab import layout
from hpclab.app import clusters
from hpclab.app.grading.lab_model import lab_of
from hpclab.cluster import lifecycle
from hpclab.errors import HpclabError
from hpclab.grading import worker
from hpclab.grading.batch import marks_of
from hpclab.grading.execute import limits
from hpclab.grading.execute.plain_sandbox import PlainSandboxes
from hpclab.grading.model import Task, Verdict
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.submissions.store import Store
from hpclab.shell import run, wait_until
from tests.grading import classroom
from tests.grading.classroom import Classroom, Marks
from tests.unit.grading.labs import ANSWERS

pytestmark = pytest.mark.timeout(3000)

WRONG = 'open("two.txt", "w").write("22")'
NOISE = "import sys\nprint('srun: job 12 queued', file=sys.stderr)\n"
# What a student may answer, and the points of the three tests.
KINDS: dict[str, tuple[dict[str, str], tuple[float, float, float]]] = {
    "right": (ANSWERS, (1, 1, 1)),
    "untouched": ({}, (0, 0, 0)),
    "half": ({"sum": ANSWERS["sum"]}, (0, 0, 1)),
    "hidden": (ANSWERS | {"two": WRONG}, (1, 0, 1)),
    "noisy": (ANSWERS | {"two": NOISE + ANSWERS["two"]}, (1, 1, 1)),
    "slow": (ANSWERS | {"two": "import time\ntime.sleep(2)\n" + ANSWERS["two"]}, (1, 1, 1)),
    "raises": (ANSWERS | {"two": ANSWERS["two"] + "\n1 / 0"}, (1, 1, 1)),
    "dies": (ANSWERS | {"two": ANSWERS["two"] + "\nimport os\nos._exit(0)"}, (1, 1, 0)),
}
# Every twentieth does its work, and then this: what comes after it is lost, but where nobody dies of it.
HOSTILE = {
    "kills": ("import os\nos.kill(-1, 9)", 1),  # everybody else that it can see
    "eats": ("taken = []\nwhile True: taken.append(bytearray(b'x' * (16 << 20)))", 0),
    "prints": ("while True: print('x' * 1_000_000)", 0),
    "forks": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", 0),
}
KINDS |= {
    name: (ANSWERS | {"two": f"{ANSWERS['two']}\n{what}"}, (1, 1, last))
    for name, (what, last) in HOSTILE.items()
}


def filled(place: Path, number: int) -> Classroom:
    """A class of so many, whose answers are of all kinds."""
    room = classroom.room(place)
    usual, hostile = [kind for kind in KINDS if kind not in HOSTILE], list(HOSTILE)
    names = [
        f"{hostile[one // 20 % len(hostile)] if one % 20 == 19 else usual[one % len(usual)]}-{one:03d}"
        for one in range(number)
    ]
    room.enrol(names)
    for name in names:
        room.hand_in(name, classroom.files(room.lab, KINDS[name.partition("-")[0]][0]))
    return room


def expected(room: Classroom) -> dict[str, tuple[float, ...]]:
    return {name: KINDS[name.partition("-")[0]][1] for name in sorted(room.students)}


def serially(room: Classroom) -> dict[str, Marks]:
    """The marks of a clean run: one after the other, in this process, nobody killed."""
    found = {}
    store = Store(room.folder)
    with PlainSandboxes() as sandboxes:
        for one in store.receipts(room.lab.name):
            student = one.student
            top = store.files(one.hash)
            files = {path: (top / path).read_bytes() for path in one.files}
            task = Task(
                lab=room.lab.name,
                student=student,
                number=1,
                hash=one.hash,
                received=one.received,
                uuid="serial",
                seed=1,
            )
            result = worker.grade(
                task,
                room.lab,
                lambda files=files: files,
                sandboxes.enter,
                limits.limits(room.lab),
                grader="x",
                tries=1,
            )
            found[student] = marks_of(result)
    return found


def earned(room: Classroom) -> dict[str, tuple[float, ...]]:
    return {student: tuple(points for _, points in tests) for student, (_, tests) in room.marks().items()}


def test_a_class_is_graded_by_workers_of_this_machine(place: Path) -> None:
    room = filled(place, 12)
    done = room.grade("--jobs", 3)
    assert earned(room) == expected(room)
    verdicts = {student: one.verdict for student, one in room.results().items()}
    assert verdicts["right-000"] == verdicts["noisy-004"] == verdicts["raises-006"] == Verdict.PASS
    assert verdicts["untouched-001"] is Verdict.FAIL
    assert verdicts["half-002"] is Verdict.PARTIAL
    assert verdicts["dies-007"] is Verdict.CRASH
    assert "12 handed in, 12 to grade" in done.stdout
    [home] = (room.folder / "batches" / room.lab.name).iterdir()
    assert sorted(path.name for path in home.iterdir()) == ["batch.json", "log", "results"]
    assert len(list((home / "log").iterdir())) == 3  # packs: three tasks for twelve
    assert not list(Path(os.environ["HPCLAB_STATE"], "grading").iterdir())  # the copies are gone
    assert lifecycle.names() == []
    records = list(Ledger(room.folder).records("graded"))
    assert {one["student"] for one in records} == set(room.students)
    assert Ledger(room.folder).verify() == []


def test_what_is_graded_is_not_graded_again_unless_asked(place: Path) -> None:
    room = filled(place, 3)
    room.grade()
    again = room.grade()
    if "3 handed in, 0 to grade" not in again.stdout:
        pytest.skip("the grader's own source changed meanwhile")
    assert len(list((room.folder / "batches" / room.lab.name).iterdir())) == 1
    room.hand_in("untouched-001", classroom.files(room.lab, ANSWERS))
    more = room.grade()
    assert "3 handed in, 1 to grade" in more.stdout
    assert "two-tests 0 → 1" in more.stdout
    one = room.grade("--students", "half-002", "--again")
    assert "1 handed in, 1 to grade" in one.stdout
    assert room.marks()["untouched-001"][0] is Verdict.PASS
    dry = room.grade("--again", "--dry-run")
    assert "3 handed in, 3 to grade" in dry.stdout
    assert len(list((room.folder / "batches" / room.lab.name).iterdir())) == 3


# ---- bad days --------------------------------------------------------------------------------

Start = Callable[..., subprocess.Popen[bytes]]


def tasks_here() -> list[psutil.Process]:
    """The tasks' own processes, wherever their node is; those of these tests alone."""
    state = os.environ["HPCLAB_STATE"]
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if "hpclab.app.grading.array_task" in line and any(word.startswith(state) for word in line):
                found.append(process)
    return found


class Chaos:
    """Kills and requeues, one after the other, for as long as there are tasks; ``did`` says what.

    ``site``: the embedded cluster on which tasks are jobs; without one they are workers of this machine.
    """

    def __init__(self, seed: int, events: int, site: str = "") -> None:
        self.random, self.left, self.site = random.Random(seed), events, site
        self.did: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)

    def __enter__(self) -> Chaos:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _go(self) -> None:
        ways = [self._kill, self._requeue, self._signal] if self.site else [self._kill]
        while self.left > 0 and not self._over.wait(self.random.uniform(0.5, 3)):
            with contextlib.suppress(HpclabError, psutil.Error, IndexError, subprocess.SubprocessError):
                what = self.random.choice(ways)
                what()
                self.did.append(what.__name__)
                self.left -= 1

    def _kill(self) -> None:
        self.random.choice(tasks_here()).send_signal(signal.SIGKILL)

    def _running(self) -> str:
        return self.random.choice(in_cluster(self.site, "squeue", "-h", "-r", "-t", "R", "-o", "%i").split())

    def _requeue(self) -> None:
        in_cluster(self.site, "scontrol", "requeue", self._running())

    def _signal(self) -> None:
        in_cluster(self.site, "scancel", "--full", "--signal=KILL", self._running())


def in_cluster(name: str, *argv: str) -> str:
    return run(lifecycle.command(name, "login", "", "/", argv), timeout=30, check=False).stdout


@pytest.fixture
def commands(place: Path) -> Iterator[Start]:
    """Start `hpclab grade`; whatever is left of it is stopped at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(room: Classroom, *words: str, site: str = "") -> subprocess.Popen[bytes]:
        argv = room.command("--yes", *words)
        if site:
            argv = [sys.executable, "-c", SITE, site, *argv[1:], "--site", "generic", "--qos", "shared"]
        with (place / f"command-{len(started)}.log").open("wb") as log:
            started.append(
                subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(60)


def some_results(room: Classroom, number: int) -> Callable[[], bool]:
    """Whether so many are graded; the spool lies with root's state, or else in the class."""
    return lambda: graded(room) >= number


def graded(room: Classroom) -> int:
    spools = [*Path(os.environ["HPCLAB_STATE"], "grading").glob("*"), *room.folder.glob("batches/*/*/spool")]
    return sum(len(list(spool.glob("results/*.done"))) for spool in spools)


def chaos(place: Path, number: int, commands: Start, site: str = "") -> None:
    """A class in the midst of kills, whose first command dies, has the marks of a clean run."""
    room = filled(place, number)
    clean = serially(room)
    first = commands(room, "--jobs", "3", site=site)
    with Chaos(1, number // 10, site) as kills:
        wait_until(some_results(room, number // 8), "the first results", seconds=600, every=0.1)
        first.kill()
        first.wait(60)
    done = graded(room)
    second = commands(room, "--jobs", "3", site=site)
    with Chaos(2, 2 + number // 10, site) as more:
        status = second.wait(classroom.GRADING)
    said = (place / "command-1.log").read_text()
    assert status == 0, said + room.logs()
    assert room.marks() == clean, f"{kills.did + more.did}\n{said}"
    assert earned(room) == expected(room)
    assert len(room.results()) == number
    assert kills.did + more.did
    queued = [one["student"] for one in Ledger(room.folder).records("queued")]
    assert len(queued) <= 2 * number - done  # what the first one had done was not done again
    assert not list((room.folder / "batches").rglob("open.json"))
    assert not list(Path(os.environ["HPCLAB_STATE"], "grading").glob("*"))
    assert tasks_here() == []


@pytest.mark.parametrize("number", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_workers_and_commands_change_no_mark(place: Path, number: int, commands: Start) -> None:
    chaos(place, number, commands)


@pytest.mark.parametrize("number", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_jobs_and_commands_change_no_mark(
    place: Path, number: int, commands: Start, site: str
) -> None:
    chaos(place, number, commands, site)


def test_two_commands_on_one_class_do_not_meet(place: Path, commands: Start) -> None:
    room = classroom.room(place)
    room.enrol(["ada"])
    slow = ANSWERS | {"two": "import time\ntime.sleep(40)\n" + ANSWERS["two"]}
    room.hand_in("ada", classroom.files(room.lab, slow))
    first = commands(room)
    wait_until(lambda: list(room.folder.glob("batches/*/*/batch.json")), "the first batch", seconds=120)
    second = room.grade(check=False)
    assert second.returncode != 0
    assert "another `hpclab grade` is at work" in second.stderr
    assert first.wait(classroom.GRADING) == 0
    assert earned(room) == {"ada": (1, 1, 1)}


def everything_below(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> Callable[[], bool]:
    return lambda: not psutil.wait_procs(processes, timeout=0)[1]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_ends_leaves_no_worker_and_the_next_goes_on(
    place: Path, commands: Start, how: signal.Signals
) -> None:
    room = filled(place, 16)
    first = commands(room, "--jobs", "2")
    wait_until(some_results(room, 2), "the first results", seconds=300, every=0.1)
    below = everything_below(first)
    assert len(below) > 4  # workers, what starts them, their sandboxes
    first.send_signal(how)
    status = first.wait(120)
    assert status == (-signal.SIGKILL if how is signal.SIGKILL else 130), (
        place / "command-0.log"
    ).read_text()
    wait_until(gone(below), "all that it started to end", seconds=30)
    done = graded(room)
    room.grade()
    assert earned(room) == expected(room)
    queued = [one["student"] for one in Ledger(room.folder).records("queued")]
    assert len(queued) <= 2 * 16 - done


def name_of(process: psutil.Process) -> str:
    """Its name; empty where it has just ended."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def test_a_killed_command_leaves_nothing_of_an_isolated_cluster(place: Path, commands: Start) -> None:
    path = layout.clone_folder() / "notebooks/01-slurm-basics/ex01-submit-monitor.md"
    room = Classroom(place, lab_of(path), path)
    room.enrol(["ada"])
    room.hand_in("ada", classroom.files(room.lab, {}))
    first = commands(room)

    def daemons() -> list[psutil.Process]:
        below = everything_below(first)
        return below if any(name_of(process) == "slurmctld" for process in below) else []

    below = wait_until(daemons, "an isolated cluster", seconds=300, every=0.2)
    first.kill()
    first.wait(60)
    wait_until(gone(below), "all that it started to end", seconds=30)


def test_a_worker_without_end_is_ended_and_counts_as_a_try(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three tries, each with the task's time limit; then it is no mark, and the others have theirs."""
    room = filled(place, 2)
    stuck, fine = sorted(room.students)
    script = place / "slow.py"
    script.write_text(SLOW_TASK)
    done = subprocess.run(
        [sys.executable, script, stuck, *room.command("--yes", "--jobs", "2")[1:]],
        **{"capture_output": True, "text": True, "timeout": classroom.GRADING, "check": False},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    results = room.results()
    assert (results[stuck].verdict, results[stuck].tries) == (Verdict.SYSTEM_ERROR, 3)
    assert results[fine].verdict is not Verdict.SYSTEM_ERROR
    assert room.logs().count("ended: its limit") == 3


# Lets workers hang as soon as they are to grade one student, and gives each 20 s.
SLOW_TASK = """
import sys
from hpclab.app.grading import rounds, worker_pool
from hpclab.cli import main
stuck, usual = sys.argv[1], worker_pool.command
def command(spool, batch, number, index, **more):
    argv = usual(spool, batch, number, index, **more)
    return ["sleep", "600"] if rounds.batches.read_round(spool, number, index) == [stuck] else argv
worker_pool.command = command
rounds.batches.seconds_of = lambda *_: 20.0
main(sys.argv[2:])
"""


# ---- a site, whose jobs outlive the command ----------------------------------------------------

SITE = """
import sys
from hpclab.app import targets
from hpclab.app.clusters import submit_settings
from hpclab.app.grading import spool
from hpclab.cli import main
from hpclab.cluster import cgroups, identity
targets.at_site = lambda _settings: targets.on_cluster(sys.argv[1], submit_settings("local"))
learner = identity.for_root(cgroup=cgroups.version(by_root=True)).outside_uid(1000)
spool.account_of_tasks = lambda *_: learner  # the account there is another one than root
main(sys.argv[2:])
"""


@pytest.fixture
def site(own_state: Path) -> Iterator[str]:
    """A cluster that stays, as a computing centre does; its nodes see the folder of spools."""
    spools = Path(os.environ["HPCLAB_STATE"], "grading")
    spools.mkdir(parents=True, exist_ok=True)
    name = f"site{os.getpid()}"
    there = msgspec.structs.replace(clusters.prepare_host(lambda _: None), writable=(spools,))
    lifecycle.up(clusters.compose_default(name), there, lambda _: None, seconds=180)
    try:
        yield name
    finally:
        lifecycle.down(name, lambda _: None, force=True, purge=True)


def test_jobs_of_a_site_outlive_the_command_and_the_next_one_waits_for_them(
    place: Path, site: str, commands: Start
) -> None:
    room = filled(place, 16)
    first = commands(room, "--jobs", "2", site=site)
    wait_until(some_results(room, 2), "the first results", seconds=600, every=0.1)
    first.kill()
    first.wait(60)
    second = commands(room, "--jobs", "2", site=site)
    status = second.wait(classroom.GRADING)
    said = (place / "command-1.log").read_text()
    assert status == 0, said + room.logs()
    assert earned(room) == expected(room)
    assert "which an earlier command left" in said
    assert "16 handed in, 0 to grade" in said  # all of it had been done by the jobs of the first
    assert len(list((room.folder / "batches" / room.lab.name).iterdir())) == 1
    assert not list((room.folder / "batches").rglob("open.json"))


def test_a_lost_node_takes_no_mark_along(place: Path, site: str, commands: Start) -> None:
    room = filled(place, 12)
    process = commands(room, "--jobs", "2", site=site)

    def busy() -> list[str]:
        return in_cluster(site, "squeue", "-h", "-t", "R", "-o", "%N").split()

    node = wait_until(busy, "a running task", seconds=300, every=0.1)[0]
    hpclab = str(Path(sys.executable).with_name("hpclab"))
    run([hpclab, "fault", "kill-node", node, "--name", site], timeout=120)
    status = process.wait(classroom.GRADING)
    assert status == 0, (place / "command-0.log").read_text() + room.logs()
    assert earned(room) == expected(room)
