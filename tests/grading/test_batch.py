"""A class through a job array: what is killed, requeued and lost on the way changes no mark."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from hpclab.app import clusters, targets
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
        for student, one in store.latest(room.lab.name).items():
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


def test_a_class_is_graded_by_one_job_array(place: Path) -> None:
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


def private_clusters() -> list[str]:
    return [name for name in lifecycle.names() if re.match(r"run-\d+-\d+$", name)]


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
    """Kills and requeues, one after the other, for as long as there are tasks; ``did`` says what."""

    def __init__(self, seed: int, events: int) -> None:
        self.random, self.left = random.Random(seed), events
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
        while self.left > 0 and not self._over.wait(self.random.uniform(0.5, 3)):
            with contextlib.suppress(HpclabError, psutil.Error, IndexError, subprocess.SubprocessError):
                what = self.random.choice([self._kill, self._requeue, self._signal])
                what()
                self.did.append(what.__name__)
                self.left -= 1

    def _kill(self) -> None:
        self.random.choice(tasks_here()).send_signal(signal.SIGKILL)

    def _running(self) -> tuple[str, str]:
        name = self.random.choice(private_clusters())
        said = in_cluster(name, "squeue", "-h", "-r", "-t", "R", "-o", "%i").split()
        return name, self.random.choice(said)

    def _requeue(self) -> None:
        name, job = self._running()
        in_cluster(name, "scontrol", "requeue", job)

    def _signal(self) -> None:
        name, job = self._running()
        in_cluster(name, "scancel", "--full", "--signal=KILL", job)


def in_cluster(name: str, *argv: str) -> str:
    return run(lifecycle.command(name, "login", "", "/", argv), timeout=30, check=False).stdout


@pytest.fixture
def commands(place: Path) -> Iterator[Callable[[Classroom, str], subprocess.Popen[bytes]]]:
    """Start `hpclab grade`; whatever is left of it is stopped at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(room: Classroom, *words: str) -> subprocess.Popen[bytes]:
        log = (place / f"command-{len(started)}.log").open("wb")
        started.append(
            subprocess.Popen(
                room.command("--yes", *words), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        )
        log.close()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(60)


def some_results(room: Classroom, number: int) -> Callable[[], bool]:
    spools = Path(os.environ["HPCLAB_STATE"], "grading")
    return lambda: len(list(spools.glob("*/results/*.done"))) >= number


@pytest.mark.parametrize("number", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_requeues_and_a_command_that_dies_change_no_mark(
    place: Path, number: int, commands: Callable[..., subprocess.Popen[bytes]]
) -> None:
    room = filled(place, number)
    clean = serially(room)
    first = commands(room, "--jobs", "3")
    with Chaos(1, number // 10) as chaos:
        wait_until(some_results(room, number // 8), "the first results", seconds=600, every=0.1)
        first.kill()
        first.wait(60)
    done = len(list(Path(os.environ["HPCLAB_STATE"], "grading").glob("*/results/*.done")))
    second = commands(room, "--jobs", "3")
    with Chaos(2, 2 + number // 10) as more:
        status = second.wait(classroom.GRADING)
    said = (place / "command-1.log").read_text()
    assert status == 0, said + room.logs()
    assert room.marks() == clean, f"{chaos.did + more.did}\n{said}"
    assert earned(room) == expected(room)
    assert len(room.results()) == number
    queued = [one["student"] for one in Ledger(room.folder).records("queued")]
    assert len(queued) <= 2 * number - done  # what the first one had done was not done again
    assert not list((room.folder / "batches").rglob("open.json"))
    assert not list(Path(os.environ["HPCLAB_STATE"], "grading").iterdir())
    assert private_clusters() == []


def test_two_commands_on_one_class_do_not_meet(
    place: Path, commands: Callable[..., subprocess.Popen[bytes]]
) -> None:
    room = filled(place, 4)
    first = commands(room)
    wait_until(lambda: list(room.folder.glob("batches/*/*/batch.json")), "the first batch", seconds=120)
    second = room.grade(check=False)
    assert second.returncode != 0
    assert "another `hpclab grade` is at work" in second.stderr
    assert first.wait(classroom.GRADING) == 0
    assert earned(room) == expected(room)


def test_ctrl_c_cancels_and_the_next_command_goes_on(
    place: Path, commands: Callable[..., subprocess.Popen[bytes]]
) -> None:
    room = filled(place, 16)
    first = commands(room, "--jobs", "2")
    wait_until(some_results(room, 2), "the first results", seconds=300, every=0.1)
    first.send_signal(signal.SIGINT)
    assert first.wait(120) == 130, (place / "command-0.log").read_text()
    assert private_clusters() == []
    room.grade()
    assert earned(room) == expected(room)


def test_a_lost_node_takes_no_mark_along(
    place: Path, commands: Callable[..., subprocess.Popen[bytes]]
) -> None:
    room = filled(place, 12)
    process = commands(room, "--jobs", "2")

    def busy() -> tuple[str, str] | None:
        for name in private_clusters():
            with contextlib.suppress(HpclabError):
                if nodes := in_cluster(name, "squeue", "-h", "-t", "R", "-o", "%N").split():
                    return name, nodes[0]
        return None

    cluster, node = wait_until(busy, "a running task", seconds=300, every=0.1)
    hpclab = str(Path(sys.executable).with_name("hpclab"))
    run([hpclab, "fault", "kill-node", node, "--name", cluster], timeout=120)
    status = process.wait(classroom.GRADING)
    assert status == 0, (place / "command-0.log").read_text() + room.logs()
    assert earned(room) == expected(room)


# ---- a site, whose jobs outlive the command ----------------------------------------------------

SITE = """
import sys
from pathlib import Path
from hpclab.app import targets as places
from hpclab.cli import main
from hpclab.app.grading import spool
from hpclab.app.clusters import submit_settings
name = sys.argv[1]
places.at_site = lambda _settings: places.on_cluster(name, submit_settings("local"))
spool._is_strangers = lambda _how: True  # the account there is another one than root
main(sys.argv[2:])
"""


@pytest.fixture
def site(own_state: Path) -> Iterator[str]:
    """A cluster that stays, as a computing centre does; its nodes see the folder of spools."""
    spools = Path(os.environ["HPCLAB_STATE"], "grading")
    spools.mkdir(parents=True, exist_ok=True)
    name = f"site{os.getpid()}"
    there = msgspec.structs.replace(clusters.place(lambda _: None), writable=(spools,))
    lifecycle.up(targets.spec_of_default(name), there, lambda _: None, seconds=180)
    try:
        yield name
    finally:
        lifecycle.down(name, lambda _: None, force=True, purge=True)


def test_jobs_of_a_site_outlive_the_command_and_the_next_one_waits_for_them(place: Path, site: str) -> None:
    room = filled(place, 16)
    script = place / "site.py"
    script.write_text(SITE)
    words = room.command("--yes", "--site", "generic", "--jobs", "2")[1:]
    argv = [sys.executable, str(script), site, *words]
    with (place / "first.log").open("wb") as log:
        first = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(some_results(room, 2), "the first results", seconds=600, every=0.1)
        finally:
            first.kill()
            first.wait(60)
    second = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=classroom.GRADING, check=False
    )
    assert second.returncode == 0, second.stdout + second.stderr + room.logs()
    assert earned(room) == expected(room)
    assert "which an earlier command left" in second.stderr
    assert "16 handed in, 0 to grade" in second.stdout  # all of it had been done by the jobs of the first
    assert len(list((room.folder / "batches" / room.lab.name).iterdir())) == 1
    assert not list((room.folder / "batches").rglob("open.json"))
