"""Plain sandboxes, real ones: what a submission sees, may do and uses there, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from hpclab.errors import GradingError
from hpclab.grading.execute import canary, protocol
from hpclab.grading.execute.interface import Ended, Sandbox
from hpclab.grading.execute.plain_sandbox import PlainSandboxes
from hpclab.grading.execute.runner_log import RunnerLog
from hpclab.grading.model import Lab, Limits
from hpclab.shell import wait_until
from tests import need

ROOT = Path(__file__).resolve().parents[2]
LAB = Lab(
    module="00-plain",
    name="ex01",
    title="A lab",
    points=1,
    seconds=5,
    nodes=0,
    containers=False,
    notebook="",
    cells=(),
    tests=(),
)
LIMITS = Limits(
    seconds=30,
    job_wait_seconds=0,
    test_seconds=10,
    memory_mib=256,
    processes=40,
    disk_mib=16,
    inodes=500,
    output_mib=2,
)
HERE = "00-plain/ex01"
CHECK = "from hpclab import evidence\n"


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[PlainSandboxes]:
    with PlainSandboxes() as made:
        yield made


@pytest.fixture
def sandbox(sandboxes: PlainSandboxes) -> Iterator[Sandbox]:
    with sandboxes.enter(LAB, LIMITS) as place:
        yield place


def run(sandbox: Sandbox, *cells: str, limits: Limits = LIMITS) -> tuple[RunnerLog, Ended]:
    named = [{"id": f"c{number}", "source": source} for number, source in enumerate(cells)]
    log = RunnerLog([cell["id"] for cell in named], "sign")
    request = protocol.cells_request(
        named, nonce="sign", seconds=limits.seconds, output_bytes=limits.output_mib << 20
    )
    return log, sandbox.run_cells(request, log, limits)


def outputs(log: RunnerLog, number: int) -> list[dict[str, Any]]:
    decoded: list[dict[str, Any]] = json.loads(bytes(log.outputs[f"c{number}"]))
    return decoded


def printed(log: RunnerLog, number: int = 0) -> str:
    return "".join(one.get("text", "") for one in outputs(log, number))


def judged(
    sandbox: Sandbox,
    *tests: str,
    cells: tuple[str, ...] = (),
    seconds: float = 60,
    answer_in: float = 60,
) -> list[dict[str, Any]]:
    """What the tests say. Questions go to a sandbox with ``cells``."""
    said: list[dict[str, Any]] = []

    def line(data: bytes) -> bytes | None:
        told = json.loads(data)
        if "ask" in told:
            named = [{"id": f"c{number}", "source": source} for number, source in enumerate(cells)]
            limits = msgspec.structs.replace(LIMITS, seconds=answer_in)
            request = protocol.question_request(named, told["ask"], seconds=answer_in)
            return protocol.answer_line(sandbox.ask_program(request, limits))
        said.append(told)
        return None

    listed = [{"id": f"t{number}", "source": CHECK + source} for number, source in enumerate(tests)]
    request = json.dumps({"tests": listed, "seconds": 10, "learner": "learner"})
    ended = sandbox.run_tests(request.encode() + b"\n", line, seconds)
    assert ended.termination == "done", ended
    return said


def passed(sandbox: Sandbox, *tests: str, cells: tuple[str, ...] = ()) -> None:
    said = judged(sandbox, *tests, cells=cells)
    assert [one["status"] for one in said] == ["passed"] * len(tests), said


# ---- a submission's way -----------------------------------------------------------------------


def test_cells_run_as_the_learner_and_tests_as_somebody_else(sandbox: Sandbox) -> None:
    sandbox.put({f"{HERE}/data.txt": b"7", "templates/a/b.sh": b"echo"})
    log, ended = run(
        sandbox,
        "!id -un; pwd; cat data.txt ../../templates/a/b.sh",
        "import os, pathlib\npathlib.Path('mine').write_text('secret')\nos.chmod('mine', 0o600)\nos.chmod('.', 0o700)",
        "open('/tmp/other', 'w').close()",
    )
    assert log.all_ran and not log.failed and ended.status == 0
    assert printed(log) == "learner\n/home/learner/lab/00-plain/ex01\n7echo"
    assert sandbox.stop_learner(LIMITS) == ""
    passed(
        sandbox,
        "import os\nassert os.getcwd().endswith('/00-plain/ex01')\nassert evidence.text('mine') == 'secret'",
        "import os\nassert os.listdir('/tmp') == [] and sorted(os.listdir('/proc'))[0] == '1'",
        "try:\n    open('written', 'w')\nexcept OSError:\n    pass\nelse:\n    assert False",
    )


def test_nothing_in_the_folder_is_imported_by_tests(sandbox: Sandbox) -> None:
    sandbox.put({f"{HERE}/{name}.py": b"raise SystemExit" for name in ("json", "numpy", "colorsys", "this")})
    log, _ = run(sandbox, "import importlib\nprint('own')")
    assert log.all_ran
    passed(sandbox, "import colorsys, numpy\nassert numpy.array([1]).sum() == 1 and colorsys.ONE_THIRD")


def test_a_file_that_leads_out_is_not_written(sandboxes: PlainSandboxes) -> None:
    for path in ("../out", "/etc/passwd", "a/../../../x", ""):
        with pytest.raises(GradingError, match="leads out"), sandboxes.enter(LAB, LIMITS) as sandbox:
            sandbox.put({path: b"x"})


def test_two_submissions_see_nothing_of_each_other(sandboxes: PlainSandboxes) -> None:
    leave = "!touch /tmp/mark /var/tmp/mark /dev/shm/mark ~/mark"
    look = "!ls /tmp /var/tmp /dev/shm ~ | grep -c mark; ipcs -m | grep -c 0x0000beef"
    with sandboxes.enter(LAB, LIMITS) as first, sandboxes.enter(LAB, LIMITS) as second:
        log, _ = run(first, leave, "!ipcmk -M 4096 >/dev/null; ls /tmp")
        assert log.all_ran and not log.failed and "mark" in printed(log, 1)
        log, _ = run(second, look)
        assert printed(log) == "0\n0\n"
    numbers = "import random, numpy\nprint(random.random(), numpy.random.rand())"
    seen = set()
    for _ in range(2):
        with sandboxes.enter(LAB, LIMITS) as sandbox:
            seen |= set(printed(run(sandbox, numbers)[0]).split())
    assert len(seen) == 4  # no two begin with the same luck


def test_programs_may_talk_to_themselves(sandbox: Sandbox) -> None:
    talk = """
import socket
with socket.create_server(("localhost", 0)) as server:
    with socket.create_connection(server.getsockname()) as there:
        there.sendall(b"hello")
        print(server.accept()[0].recv(5).decode())
"""
    log, _ = run(sandbox, talk, "import matplotlib.pyplot as plt\nplt.plot([1])")
    assert printed(log) == "hello\n"
    assert outputs(log, 1)[-1]["data"]["image/png"]


# ---- limits -----------------------------------------------------------------------------------

EXPECTED = {
    "heap": "memory",
    "caught": "memory",
    "shared": "memory",
    "no name": "memory",
    "many": "memory",
    "forks": "processes",
    "threads": "processes",
    "prints": "output",
    "raw": "output",
    "loop": "timeout",
    "deaf": "timeout",
    "stopped": "timeout",
    "disk": "disk",
    "files": "disk",
}
BREAKS = {
    "heap": """
taken = []
while True: taken.append(bytearray(b"x" * (16 << 20)))
""",
    "caught": """
taken = []
while True:
    try:
        taken.append(bytearray(b"x" * (8 << 20)))
    except MemoryError:
        pass
""",
    "shared": """
import mmap
held = mmap.mmap(-1, 1 << 30)
for at in range(0, 1 << 30, 4096): held[at] = 1
""",
    "no name": """
import os
kept = []
while True:
    kept.append(os.memfd_create("x"))
    os.write(kept[-1], bytes(8 << 20))
""",
    "many": """
import os, time
for _ in range(6):
    if not os.fork():
        held = bytearray(b"x" * (100 << 20))
        time.sleep(60)
time.sleep(60)
""",
    "forks": """
import os
while True:
    try: os.fork()
    except OSError: pass
""",
    "threads": """
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
""",
    "prints": """
for _ in range(9): print("x" * 1_000_000)
""",
    "raw": """
import os
for number in range(3, 400):
    try:
        while True: os.write(number, b"x" * 65536)
    except OSError: pass
""",
    "loop": """
while True: pass
""",
    "deaf": """
import signal
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
""",
    "stopped": """
import os, signal
os.kill(os.getpid(), signal.SIGSTOP)
""",
    "disk": """
with open("large", "wb") as file:
    while True: file.write(bytes(1 << 20))
""",
    "files": """
import itertools
for number in itertools.count(): open(f"f{number}", "w").close()
""",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_limit_is_named_and_what_was_done_stays(sandboxes: PlainSandboxes, name: str) -> None:
    source, limit = BREAKS[name], EXPECTED[name]
    limits = msgspec.structs.replace(LIMITS, seconds=3 if limit == "timeout" else 60)
    with sandboxes.enter(LAB, limits) as sandbox:
        _, ended = run(sandbox, "with open('done', 'w') as f: f.write('yes')", source, limits=limits)
        assert ended.termination == limit, ended
        assert ended.seconds < 50
        sandbox.stop_learner(limits)
        passed(sandbox, "assert evidence.text('done') == 'yes'")


def test_an_interpreter_that_dies_is_told_from_one_that_is_stopped(sandboxes: PlainSandboxes) -> None:
    for cell, status, number in (
        ("import os\nos._exit(0)", 0, None),
        ("import os\nos._exit(7)", 7, None),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", None, signal.SIGKILL),
        ("import ctypes\nctypes.string_at(1)", None, signal.SIGSEGV),
        ("import os\nos.kill(1, 9)\nos.kill(os.getppid(), 15)\nprint('both there')", 0, None),
    ):
        with sandboxes.enter(LAB, LIMITS) as sandbox:
            log, ended = run(sandbox, cell)
            assert (ended.status, ended.signal, ended.termination) == (
                status,
                number,
                "crash" if status or number else "done",
            ), cell
    assert not log.forged


def test_daemons_end_with_the_cells(sandbox: Sandbox) -> None:
    daemon = """
import os, signal, time
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        for number in (1, 2, 3, 15): signal.signal(number, signal.SIG_IGN)
        while True:
            open("beat", "w").write(str(time.monotonic()))
            time.sleep(0.01)
while not os.path.exists("beat"): time.sleep(0.01)
"""
    log, _ = run(sandbox, daemon)
    assert log.all_ran
    assert sandbox.stop_learner(LIMITS) == "2 processes that still ran"
    passed(
        sandbox,
        "import time\nbefore = evidence.text('beat')\ntime.sleep(0.2)\nassert evidence.text('beat') == before",
    )


def test_a_folder_that_is_gone_or_a_link_holds_nothing(sandboxes: PlainSandboxes) -> None:
    for cell in (
        "import shutil, os\nshutil.rmtree(os.path.expanduser('~/lab'))",
        "import shutil, os\nshutil.rmtree(os.path.expanduser('~/lab'))\nos.symlink('/etc', os.path.expanduser('~/lab'))",
        "import os\nos.chmod(os.path.expanduser('~/lab'), 0)\nos.chmod(os.path.expanduser('~'), 0)",
    ):
        with sandboxes.enter(LAB, LIMITS) as sandbox:
            run(sandbox, cell)
            [said] = judged(sandbox, "evidence.text('passwd')")
            assert said["found"] == "no file passwd"


# ---- questions --------------------------------------------------------------------------------

ASK = "f = evidence.function('f')\n"


def test_a_function_is_asked_in_a_place_of_its_own(sandbox: Sandbox) -> None:
    sandbox.put({f"{HERE}/near.py": b"ONE = 1"})
    cells = (
        "import near, os\nassert not os.path.exists('asked')",
        "def f(x):\n    open('asked', 'w')\n    return x + near.ONE",
    )
    run(sandbox, *cells)
    passed(sandbox, ASK + "assert f(1) == 2 and f(2) == 3 and f.each([[3], [4]]) == [4, 5]", cells=cells)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("while True: pass", "f(1) does not finish within the time limit"),
        ("taken = []\n    while True: taken.append(bytearray(b'x' * (16 << 20)))", "f(1) uses more memory than allowed"),
        ("import os\n    os._exit(0)", "f(1) ends the program"),
        ("return 'x' * 300_000_000", None),
        ("import os\n    [os.write(n, b'x\\n') for n in range(250, 260)]", None),
    ],
)  # fmt: skip
def test_a_function_that_gives_no_reply(sandbox: Sandbox, body: str, found: str | None) -> None:
    cells = (f"def f(x):\n    {body}",)
    [said] = judged(sandbox, ASK + "f(1)", cells=cells, answer_in=3 if "pass" in body else 60)
    assert said["status"] == "failed" and found in (None, said.get("found")), said


# ---- walls ------------------------------------------------------------------------------------


def test_every_probe_of_the_canary_is_kept_in(sandboxes: PlainSandboxes) -> None:
    found = canary.probe(sandboxes.enter, LAB, hidden=[ROOT / "notebooks", Path("/root/.bashrc")])
    assert canary.escaped(found) == []
    canary.refuse(found)
    assert len(found) > 20


def test_a_limit_that_is_missing_is_found(sandboxes: PlainSandboxes) -> None:
    def generous(lab: Lab, limits: Limits) -> Any:
        return sandboxes.enter(lab, msgspec.structs.replace(limits, inodes=100_000))

    found = canary.probe(generous, LAB, alone=False)
    assert [one.probe for one in canary.escaped(found)] == ["make files without end"]
    with pytest.raises(GradingError, match="nothing is marked: 1 of"):
        canary.refuse(found)


PRY = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
own, theirs = ctypes.create_string_buffer(8), ctypes.c_ulong(0)
for pid in (1, os.getppid()):
    print(libc.ptrace(16, pid, 0, 0), ctypes.get_errno())
    vector = (ctypes.c_ulong * 2)(ctypes.addressof(own), 8)
    one, zero, call = ctypes.c_long(1), ctypes.c_long(0), ctypes.c_long(310 if os.uname().machine == "x86_64" else 270)
    read = libc.syscall(call, ctypes.c_long(pid), vector, one, vector, one, zero)  # process_vm_readv
    print(read, ctypes.get_errno())
    for part in ("environ", "fd", "mem", "root", "cwd"):
        try:
            print(os.listdir(f"/proc/{pid}/{part}") if part == "fd" else os.open(f"/proc/{pid}/{part}", os.O_RDONLY))
        except OSError as problem:
            print(-1, problem.errno)
"""


def test_the_process_above_the_learners_stays_closed(sandbox: Sandbox) -> None:
    log, _ = run(sandbox, PRY)
    lines = printed(log).splitlines()
    assert len(lines) == 2 * 7, printed(log)  # two processes, seven ways each
    assert set(lines) <= {"-1 1", "-1 13"}, printed(log)  # EPERM, EACCES


# ---- nothing is left ----------------------------------------------------------------------------


def below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def groups() -> set[Path]:
    """The control groups of this process's sandboxes."""
    return set(Path("/sys/fs/cgroup").glob(f"**/hpclab-sandbox-{os.getpid()}-*"))


def test_nothing_is_left_when_it_is_closed() -> None:
    before = groups()
    with PlainSandboxes() as sandboxes:
        with sandboxes.enter(LAB, LIMITS) as sandbox:
            run(sandbox, "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)")
            there = below(sandboxes._process.pid)
            assert len(there) >= 2
        wait_until(lambda: len(below(sandboxes._process.pid)) == 1, "the sandbox to be gone", seconds=20)
    wait_until(lambda: not any(one.is_running() for one in there), "every process to end", seconds=20)
    assert groups() <= before


CLIENT = """
import sys
sys.path.insert(0, {root!r})
from tests.grading import test_plain_sandbox as tests
with tests.PlainSandboxes() as sandboxes, sandboxes.enter(tests.LAB, tests.LIMITS) as sandbox:
    print(sandboxes._process.pid, flush=True)
    tests.run(sandbox, "import time\\ntime.sleep(600)")
"""


def test_nothing_outlives_a_killed_client() -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT.format(root=str(ROOT))], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert client.stdout
    try:
        pid = int(client.stdout.readline())
        wait_until(lambda: len(below(pid)) >= 4, "the cells to run", seconds=30)
        there = [psutil.Process(pid), *below(pid)]
    finally:
        client.kill()
        client.wait(timeout=30)
        client.stdout.close()
    wait_until(lambda: not any(one.is_running() for one in there), "everything below it to end", seconds=20)


# ---- other accounts ------------------------------------------------------------------------------

AS = """
import os, sys
sys.path.insert(0, {root!r})
from tests.grading import test_plain_sandbox as tests
with tests.PlainSandboxes() as sandboxes:
    print(sandboxes.ids.owner)
    for found in tests.canary.probe(sandboxes.enter, tests.LAB, hidden=[tests.ROOT / "notebooks"]):
        if not found.held:
            print(found)
    with sandboxes.enter(tests.LAB, tests.LIMITS) as sandbox:
        tests.test_cells_run_as_the_learner_and_tests_as_somebody_else(sandbox)
    with sandboxes.enter(tests.LAB, tests.LIMITS) as sandbox:
        tests.test_the_process_above_the_learners_stays_closed(sandbox)
    with sandboxes.enter(tests.LAB, tests.LIMITS) as sandbox:
        tests.test_a_function_is_asked_in_a_place_of_its_own(sandbox)
print("all")
"""


@pytest.fixture(params=["subids", "self"])
def account(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """An ordinary user: with sub-ids, or with the own id alone."""
    if os.geteuid() != 0:
        pytest.skip("only root can make accounts; the tests above have run as this user")
    need.program("newuidmap", "uidmap")
    name = f"hpclab-plain-{request.param}"
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/nonexistent", name], check=True)
    try:
        if request.param == "self":
            for path in map(Path, ("/etc/subuid", "/etc/subgid")):
                lines = [
                    line for line in path.read_text().splitlines(True) if not line.startswith(f"{name}:")
                ]
                path.write_text("".join(lines))
        yield name, request.param
    finally:
        subprocess.run(["userdel", name], check=False, capture_output=True)


def test_an_ordinary_account_confines_submissions_as_well(account: tuple[str, str]) -> None:
    name, who = account
    entry = pwd.getpwnam(name)
    done = subprocess.run(
        [sys.executable, "-c", AS.format(root=str(ROOT))],
        capture_output=True,
        text=True,
        timeout=200,
        cwd="/",
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"},
    )
    assert done.stdout.split() == [who, "all"], done.stdout + done.stderr
