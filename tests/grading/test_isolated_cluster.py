"""Isolated clusters, real ones: what untrusted code sees, may do and uses there, and that nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from hpclab import layout
from hpclab.app.grading import isolated_sandbox as adapter
from hpclab.cluster.client import IsolatedCluster
from hpclab.grading.execute import protocol
from hpclab.grading.execute.interface import Ended
from hpclab.grading.model import Lab, Limits
from hpclab.shell import wait_until
from tests.cluster.conftest import Cluster, Person, myself, new_user, started

LAB = Lab(
    module="01-slurm-basics",
    name="ex01",
    title="A lab",
    points=1,
    seconds=30,
    nodes=2,
    containers=False,
    notebook="",
    cells=(),
    tests=(),
)
LIMITS = Limits(
    seconds=60,
    job_wait_seconds=20,
    test_seconds=30,
    memory_mib=1500,
    processes=300,
    disk_mib=300,
    inodes=3000,
    output_mib=2,
    jobs=50,
)
FOLDER = f"/home/learner/lab/{LAB.module}/{LAB.name}"
SETTINGS = {
    "SBATCH_CONSTRAINT": "gpu",
    "SLURM_CONSTRAINT": "gpu",
    "SBATCH_TIMELIMIT": "5",
    "SLURM_TIMELIMIT": "5",
}


def run(
    cluster: IsolatedCluster,
    what: str | Sequence[str],
    who: str = "learner",
    *,
    node: str = "login",
    check: bool = True,
    seconds: float = 60,
) -> str:
    """Run a shell script, or a program, and return what it printed."""
    argv = ["bash", "-c", what] if isinstance(what, str) else list(what)
    login = [] if who == "root" else ["/run/hpclab/bin/login-shell", "/scratch/learner"]
    with os.fdopen(os.memfd_create("said"), "rb") as said, Path(os.devnull).open() as nothing:
        out = said.fileno()
        program = cluster.run(
            who, [*login, *argv], node=node, stdin=nothing.fileno(), stdout=out, stderr=out, env=SETTINGS
        )
        status = program.wait(seconds)
        said.seek(0)
        text = said.read().decode(errors="replace").strip()
    assert status is not None, f"no end after {seconds} s: {text}"
    assert not check or status == 0, f"status {status}: {text}"
    return text


def python(cluster: IsolatedCluster, code: str, **options: Any) -> Any:
    """Run Python code and read the JSON that it prints."""
    return json.loads(run(cluster, [sys.executable, "-c", code], **options).splitlines()[-1])


@contextlib.contextmanager
def fresh(**limits: Any) -> Iterator[adapter.IsolatedSandbox]:
    changed = msgspec.structs.replace(LIMITS, **limits)
    with adapter.enter(LAB, changed) as place:
        assert isinstance(place, adapter.IsolatedSandbox)
        yield place


def cells(place: adapter.IsolatedSandbox, *sources: str, **limits: Any) -> tuple[Ended, list[dict[str, Any]]]:
    changed = msgspec.structs.replace(LIMITS, **limits)
    nonce = protocol.new_nonce()
    request = protocol.cells_request(
        [{"id": f"cell-{n}", "kind": "answer", "source": source} for n, source in enumerate(sources, 1)],
        nonce=nonce,
        seconds=changed.seconds,
        output_bytes=changed.output_mib << 20,
    )
    lines: list[bytes] = []
    ended = place.run_cells(request, lines.append, changed)
    return ended, [json.loads(line) for line in lines]


def learners(cluster: IsolatedCluster) -> str:
    """The learner's processes, as the cluster's root sees them."""
    return run(cluster, ["ps", "-U", "learner", "-o", "pid=,stat=,args="], "root", node="ctl", check=False)


@pytest.fixture(scope="module")
def place() -> Iterator[adapter.IsolatedSandbox]:
    """One isolated cluster for all tests that only look."""
    with fresh() as made:
        made.put({f"{LAB.module}/{LAB.name}/notes.txt": b"mine", "templates/train.py": b"1"})
        yield made


@pytest.fixture(scope="module")
def cluster(place: adapter.IsolatedSandbox) -> IsolatedCluster:
    return place.cluster


# ---- what is there -----------------------------------------------------------------------------


def test_only_what_is_listed_is_there(cluster: IsolatedCluster) -> None:
    course = layout.clone_folder()
    there = set(run(cluster, "ls -A / /home").split())
    assert not there & {
        "srv",
        "boot",
        "lost+found",
        "media",
        "ubuntu",
        "work" if course.parts[1] != "work" else "",
    }
    assert set(run(cluster, "ls -A /home").split()) == {"learner", "grader"}
    own = set(run(cluster, f"ls -A '{course}'").split())
    assert own - {".venv"} == {"containers", "sites", "src", "templates"}
    assert run(cluster, f"ls -A '{course}/src'") == "hpclab"
    for hidden in ("/root", "/opt", "/mnt", "/var/log", "/var/cache"):
        assert run(cluster, f"ls -A {hidden}") == "", hidden
    for secret in ("shadow", "machine-id", "ssh", "hostname-", "cron.d", "sudoers"):
        assert run(cluster, f"ls -d /etc/{secret}", check=False).startswith("ls: cannot access"), secret


def test_the_learner_writes_in_its_own_places_and_nowhere_else(cluster: IsolatedCluster) -> None:
    # What is mounted read-only need not be walked through.
    code = """
import json, os
found = []
for mount in [line.split() for line in open("/proc/self/mounts")]:
    if mount[3].split(",")[0] == "ro" or mount[2] in ("proc", "sysfs"):
        continue
    top = mount[1]
    if not os.path.isdir(top) and os.access(top, os.W_OK):
        found.append(top)
    for folder, folders, files in os.walk(top):
        if os.access(folder, os.W_OK):
            found.append(folder)
            folders[:] = []
        found += [f"{folder}/{name}" for name in files if os.access(f"{folder}/{name}", os.W_OK)]
print(json.dumps(sorted(set(found))))
"""
    devices = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
    for node in ("login", "nid001"):
        writable = set(python(cluster, code, node=node)) - devices
        writable = {path for path in writable if not path.startswith(("/dev/pts/", "/run/hpclab/gpu/"))}
        assert writable == {
            "/home/learner",
            "/scratch/learner",
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            "/run/munge/munge.socket.2",
        }


def test_what_is_put_belongs_to_the_learner(place: adapter.IsolatedSandbox, cluster: IsolatedCluster) -> None:
    assert run(cluster, f"stat -c %U:%a {FOLDER}/notes.txt") == "learner:644"
    assert run(cluster, "cat /home/learner/lab/templates/train.py") == "1"


# ---- who one is --------------------------------------------------------------------------------

ABOUT_ME = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({key: status[key].split()[0] for key in ("Uid", "CapEff", "CapPrm", "CapAmb", "NoNewPrivs", "Seccomp")}))
"""


@pytest.mark.parametrize("where", ["login", "job"])
def test_the_learner_has_no_rights(cluster: IsolatedCluster, where: str) -> None:
    before = ["srun", "-n1", "--quiet"] if where == "job" else []
    me = json.loads(run(cluster, [*before, sys.executable, "-c", ABOUT_ME]).splitlines()[-1])
    none = "0" * 16
    assert me == {
        "Uid": "1000",
        "CapEff": none,
        "CapPrm": none,
        "CapAmb": none,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


def test_everybody_inside_is_somebody_elses_number(cluster: IsolatedCluster) -> None:
    """As the host counts, nobody in there is root or whoever started it, and no two such clusters share an id."""
    with running(cluster, "sleep 60", "learner") as mine:
        assert mine.uids().real == cluster.spec.identity.outside_uid(1000)
    everybody = psutil.Process(cluster.pid).children(recursive=True)
    assert len(everybody) > 10
    assert not {process.uids().real for process in everybody} & {0, os.getuid()}


ALLOCATED = """
import json, sys
from pathlib import Path
import msgspec, psutil
from hpclab.app.grading import isolated_sandbox
from hpclab.grading.execute.plain_sandbox import PlainSandboxes
from hpclab.grading.model import Lab, Limits
lab, limits = msgspec.json.decode(sys.argv[1], type=Lab), msgspec.json.decode(sys.argv[2], type=Limits)
enter = isolated_sandbox.enter

def ids(pid):
    "The ids that the namespace of pid maps, other than this user's own, and those of the processes below it."
    rows = [map(int, line.split()) for line in Path(f"/proc/{pid}/uid_map").read_text().splitlines()]
    mapped = {outside + number for _, outside, count in rows if count > 1 for number in range(count)}
    below = {process.uids().real for process in psutil.Process(pid).children(recursive=True)}
    return [len(below - mapped), sorted(mapped)]

with enter(lab, limits) as first, enter(lab, limits) as second, PlainSandboxes() as one, PlainSandboxes() as other:
    print(json.dumps([ids(pid) for pid in (first.cluster.pid, second.cluster.pid, one._process.pid, other._process.pid)]))
"""


def assert_no_id_twice(printed: str, others: list[int]) -> None:
    groups = json.loads(printed.splitlines()[-1])
    assert [unmapped for unmapped, _ in groups] == others
    everybody = [number for _, mapped in groups for number in mapped]
    assert len(everybody) == len(set(everybody)) >= 4 * 4095


def test_no_two_sandboxes_at_the_same_time_share_an_id(tmp_path: Path) -> None:
    by_root = os.geteuid() == 0
    with contextlib.ExitStack() as stack:
        people = [(myself(), tmp_path / "state")]
        if by_root:
            user = stack.enter_context(new_user())
            people.append((user, user.home / "state"))
        for number, (person, state) in enumerate(people):
            done = subprocess.run(
                keeper_of(person, state, ALLOCATED),
                capture_output=True,
                text=True,
                timeout=280,
                cwd="/",
                check=False,
            )
            assert done.returncode == 0, done.stderr
            # An ordinary user's plain sandbox has the user's own id as its root.
            assert_no_id_twice(done.stdout, [0, 0, 0, 0] if by_root and number == 0 else [0, 0, 1, 1])


@contextlib.contextmanager
def running(cluster: IsolatedCluster, script: str, who: str) -> Iterator[psutil.Process]:
    """A process of the cluster, as the host sees it, while it runs."""
    mark = f"mark-{time.monotonic_ns()}"
    with Path(os.devnull).open("r+") as nothing:
        handle = nothing.fileno()
        program = cluster.run(
            who, ["bash", "-c", f"{script}; true", mark], stdin=handle, stdout=handle, stderr=handle
        )

    def found() -> psutil.Process | None:
        for process in psutil.Process(cluster.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[-1:] == [mark]:
                    return process
        return None

    try:
        yield wait_until(found, "the process to start", seconds=20)
    finally:
        cluster.kill(who)
        assert program.wait(20) is not None


def test_the_grader_reads_what_the_learner_locks(cluster: IsolatedCluster) -> None:
    run(
        cluster,
        f"cd {FOLDER} && umask 077 && mkdir -p locked/in && echo secret >locked/in/file && chmod 0 locked/in/file locked",
    )
    assert run(cluster, f"cat {FOLDER}/locked/in/file", "grader") == "secret"
    assert run(cluster, f"test -r {FOLDER}/locked/in/file && echo yes", "grader") == "yes"
    assert "denied" in run(cluster, f"touch {FOLDER}/of-the-grader", "grader", check=False)
    assert "denied" in run(cluster, "ls /home/grader", check=False), (
        "the grader's home is not the learner's to see"
    )


# ---- whom one reaches --------------------------------------------------------------------------


def test_there_is_no_network_but_the_clusters_own(cluster: IsolatedCluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mine, socket.socket(socket.AF_UNIX) as named:
        named.bind("\0hpclab-test-of-the-host")
        named.listen()
        code = f"""
import json, os, socket
said = {{"interfaces": sorted(os.listdir("/sys/class/net"))}}
for name, family, address in [
    ("loopback", socket.AF_INET, ("127.0.0.1", {mine.getsockname()[1]})),
    ("outside", socket.AF_INET, ("192.0.2.1", 80)),
    ("abstract", socket.AF_UNIX, "\\0hpclab-test-of-the-host"),
]:
    with socket.socket(family) as one:
        one.settimeout(5)
        try:
            one.connect(address)
            said[name] = "connected"
        except OSError as problem:
            said[name] = type(problem).__name__
print(json.dumps(said))
"""
        said = python(cluster, code)
    assert said == {
        "interfaces": ["hsn0", "lo"],
        "loopback": "ConnectionRefusedError",
        "outside": "OSError",
        "abstract": "ConnectionRefusedError",
    }


def test_the_records_are_not_the_learners_to_write(cluster: IsolatedCluster) -> None:
    for command in (
        "sacctmgr -i add account mine",
        "sacctmgr -i modify user learner set AdminLevel=Admin",
        "sacctmgr -i modify user learner set MaxSubmitJobs=-1 where account=m0000",
        "sacctmgr -i delete user learner",
        "scontrol update PartitionName=perlmutter State=DOWN",
        "scontrol shutdown",
        "mariadb -e 'select 1'",
        "mariadb --socket=/run/mysqld/mysqld.sock -u slurm slurm_acct_db -e 'show tables'",
    ):
        said = run(cluster, f"{command}; echo status $?", check=False)
        assert "status 0" not in said, f"{command}: {said}"
    assert run(
        cluster, "ls -A /run/mysqld /run/hpclab/db /run/hpclab/munge /run/hpclab/state /run/netns /run/mounts"
    ).split() == [
        f"/run/{name}:" for name in ("hpclab/db", "hpclab/munge", "hpclab/state", "mounts", "mysqld", "netns")
    ]
    assert "denied" in run(cluster, "cat /etc/slurm/slurmdbd.conf", check=False)


def test_the_grader_reads_the_records(cluster: IsolatedCluster) -> None:
    job = run(cluster, "sbatch --parsable --wait --wrap='echo of the learner'").splitlines()[0]

    def whole() -> bool:
        said = run(cluster, f"sacct -B -j {job}; sacct -X -n -P -o user,state -j {job}", "grader")
        return "learner|COMPLETED" in said and "echo of the learner" in said

    wait_until(whole, "the record and the script", seconds=20, every=0.3)
    said = run(
        cluster, f"sacctmgr -i add cluster mine; scontrol shutdown; scancel {job}; id", "grader", check=False
    )
    assert "uid=990(grader)" in said and "root" not in said


# ---- what one uses -----------------------------------------------------------------------------


def test_memory_is_limited() -> None:
    with fresh() as place:
        ended, _ = cells(place, "data = []\nwhile True: data.append(bytearray(50 << 20))")
        assert ended.termination == "memory", ended
        place.stop_learner(LIMITS)
        assert learners(place.cluster) == ""


def test_files_in_memory_are_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a control group, as for a user who has none."""
    monkeypatch.setattr("hpclab.sandbox.cgroup.scope_version", lambda *, by_root: "none")
    with fresh(memory_mib=400) as place:
        assert "no cgroup" in place.guarded
        code = """
import os, time
files = [os.memfd_create(str(n)) for n in range(9)]
for file in files: os.write(file, bytes(90 << 20))
time.sleep(60)
"""
        ended, _ = cells(place, code)
        assert ended.termination == "memory", ended
        with_jobs, _ = cells(place, "!srun -n2 -N2 bash -c 'head -c 250M /dev/zero >/tmp/much; sleep 60'")
        assert with_jobs.termination == "memory", with_jobs


BOMB = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
"""


def test_a_fork_bomb_stays_inside() -> None:
    with fresh() as place:
        place.put({f"{LAB.module}/{LAB.name}/bomb.py": BOMB.encode()})
        ended, _ = cells(place, "!srun --overlap -n1 python bomb.py &", "!python bomb.py")
        assert ended.termination == "processes", ended
        place.stop_learner(LIMITS)
        assert learners(place.cluster) == ""
        assert "RUNNING" not in run(place.cluster, "sacct -a -X -n -o state", "grader"), "records go on"


def test_disk_files_and_jobs_are_limited(cluster: IsolatedCluster) -> None:
    for folder in ("/scratch/learner", "/tmp", "/dev/shm"):
        said = run(
            cluster,
            f"head -c 400M /dev/zero >{folder}/much; stat -c %s {folder}/much; rm {folder}/much",
            check=False,
        )
        assert "No space left" in said or "File size limit" in said or "File too large" in said, said
        assert int(said.split()[-1]) <= LIMITS.disk_mib << 20
        said = run(
            cluster,
            f"mkdir {folder}/many && cd {folder}/many && seq 5000 | xargs touch; ls | wc -l; rm -r {folder}/many",
            check=False,
        )
        assert "No space left" in said and int(said.split()[-1]) <= LIMITS.inodes
    said = run(
        cluster,
        "for i in $(seq 60); do sbatch -H -q regular --wrap true; done 2>&1 | grep -c Submitted; scancel -u learner",
        check=False,
    )
    assert int(said.split()[0]) == LIMITS.jobs


def test_output_is_limited_and_never_held() -> None:
    with fresh() as place:
        before = psutil.Process().memory_info().rss
        code = """
import os
channel = max(int(name) for name in os.listdir("/proc/self/fd"))
for handle in range(channel, 2, -1):
    try:
        while True: os.write(handle, b"x" * (1 << 20))
    except OSError:
        pass
"""
        ended, _ = cells(place, code)
        assert ended.termination == "output", ended
        assert psutil.Process().memory_info().rss - before < 100 << 20


def test_time_is_limited() -> None:
    with fresh() as place:
        code = """
import time
while True:
    try: time.sleep(1)
    except BaseException: pass
"""
        ended, _ = cells(place, code, seconds=3)
        assert ended.termination == "timeout" and ended.seconds < 30, ended


# ---- the end -----------------------------------------------------------------------------------


def test_nothing_of_the_learners_survives_the_stop() -> None:
    with fresh() as place:
        cluster = place.cluster
        daemon = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            with open("/home/learner/alive", "w") as file: file.write(str(time.time()))
            time.sleep(0.01)
    os._exit(0)
"""
        again = "#!/bin/bash\ntrap '' TERM\nsbatch $SLURM_SUBMIT_DIR/again\nsbatch $SLURM_SUBMIT_DIR/again\nsleep 100\n"
        ended, _ = cells(
            place,
            daemon,
            f"open('again', 'w').write({again!r})\n!sbatch -t5 -q debug again",
            "held = !sbatch --parsable -H --wrap true\nheld[0]",
            "!sbatch -d afterok:{held[0]} --wrap true",
            "!while ! squeue -h -t RUNNING | grep -q again; do sleep 0.1; done",
        )
        assert ended.status == 0, ended
        said = place.stop_learner(msgspec.structs.replace(LIMITS, job_wait_seconds=0.5))
        assert "job" in said, said
        assert learners(cluster) == ""
        before = run(
            cluster, "cat /home/learner/alive; ls -lR --full-time /home/learner /scratch/learner", "grader"
        )
        rows = run(cluster, "sacct -a -X -n -P -S 1970-01-01 -o state,end,reason", "grader").splitlines()
        assert any(row.startswith("CANCELLED") for row in rows), (said, rows)
        assert all(row.split("|")[1] != "Unknown" or row.startswith("PENDING") for row in rows), rows
        # What is held runs nothing, nor does what waits for it: they stay, as evidence.
        assert run(cluster, "squeue -h -S i -o %r", "grader").split() == [
            "JobHeldUser",
            "Dependency",
        ]
        after = run(
            cluster, "cat /home/learner/alive; ls -lR --full-time /home/learner /scratch/learner", "grader"
        )
        assert after == before
        assert run(cluster, "squeue -h -t RUNNING,COMPLETING,CONFIGURING -o %i", "grader") == ""


def test_jobs_meet_signals_as_on_any_cluster(cluster: IsolatedCluster) -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and whatever it starts would, and what that starts."""
    ignored = "awk '/SigIgn/ { print $2 }' /proc/self/status"
    said = run(cluster, f'sbatch --wait -t5 -q debug -o $HOME/ignored --wrap "{ignored}"; cat $HOME/ignored')
    # 32 and 33 belong to the C library, which lets nobody set them back: some hosts ignore 32 for all they start.
    of_the_c_library = 1 << 31 | 1 << 32
    assert int(said.split()[-1], 16) & ~of_the_c_library == 0, said


def test_nobody_fills_the_books() -> None:
    """Accounting keeps every script for good: so many bytes of them are taken, and no more."""
    fill = (
        "{ printf '#!/bin/bash\\n# '; head -c 260000 /dev/zero | tr '\\0' x; } >big\n"
        "for n in $(seq 300); do sbatch -H -t5 -q debug -J big big 2>said >>taken || break; scancel -n big; done\n"
        "wc -l <taken; cat said"
    )
    with fresh() as place:
        count, *said = run(place.cluster, fill, seconds=120).splitlines()
    assert 200 <= int(count) < 300, said
    assert any("no room for more" in line for line in said)


def test_a_job_may_end_by_itself() -> None:
    with fresh() as place:
        cells(place, "!sbatch --wrap 'sleep 2; echo done >$HOME/done'")
        assert place.stop_learner(LIMITS) == ""
        assert run(place.cluster, "cat /home/learner/done", "grader") == "done"


def test_tests_run_as_somebody_else(place: adapter.IsolatedSandbox) -> None:
    source = (
        "import os\nprint(os.getuid(), os.getcwd(), open('notes.txt').read(), os.environ['HPCLAB_LEARNER'])"
    )
    request = {"tests": [{"id": "t", "source": source, "hidden": False}], "seconds": 30, "learner": "learner"}
    lines: list[bytes] = []
    ended = place.run_tests(json.dumps(request).encode() + b"\n", lambda line: lines.append(line), 60)
    assert ended.status == 0, ended
    assert json.loads(lines[0])["said"] == f"990 {FOLDER} mine learner"


@pytest.mark.parametrize(
    "gone", ["ln -s / ~/away", "true", "mkdir ~/away.d; ln -s away.d ~/away", "touch ~/away"]
)
def test_no_link_of_the_learners_leads_the_grader_elsewhere(cluster: IsolatedCluster, gone: str) -> None:
    run(cluster, f"rm -rf ~/away ~/away.d; {gone}")
    with os.fdopen(os.memfd_create("said"), "rb") as said, Path(os.devnull).open() as nothing:
        out, folder = said.fileno(), "/home/learner/away"
        program = cluster.run(
            "grader", ["/bin/pwd", "-P"], stdin=nothing.fileno(), stdout=out, stderr=out, folder=folder
        )
        assert program.wait(60) == 0
        said.seek(0)
        assert said.read() == b"/home/grader\n"


KEEPER = """
import sys, time
from hpclab.app.grading import isolated_sandbox
from hpclab.grading.model import Lab, Limits
import msgspec
lab = msgspec.json.decode(sys.argv[1], type=Lab)
limits = msgspec.json.decode(sys.argv[2], type=Limits)
with isolated_sandbox.enter(lab, limits) as place:
    print(place.cluster.pid, flush=True)
    sys.stdin.read()
"""


def keeper_of(person: Person, state: Path, code: str = KEEPER) -> list[str]:
    settings = [f"{key}={value}" for key, value in person.environment.items()]
    words = [msgspec.json.encode(value).decode() for value in (LAB, LIMITS)]
    return [
        *person.prefix,
        "env",
        "-i",
        *settings,
        f"HPCLAB_STATE={state}",
        sys.executable,
        "-c",
        code,
        *words,
    ]


def test_it_dies_with_its_keeper_and_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with subprocess.Popen(
        keeper_of(myself(), state), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
    ) as client:
        assert client.stdout
        agent = psutil.Process(int(client.stdout.readline()))
        everybody = [agent, *agent.children(recursive=True)]
        assert len(everybody) > 10
        client.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(everybody, timeout=20)
    assert alive == []
    assert not state.exists() or not list(state.rglob("*"))


ONE_RUN = """
import json, sys
from hpclab.app.grading import isolated_sandbox
from hpclab.grading.execute import protocol as asking
from hpclab.grading.model import Lab, Limits
import msgspec
lab = msgspec.json.decode(sys.argv[1], type=Lab)
limits = msgspec.json.decode(sys.argv[2], type=Limits)
lines = []
with isolated_sandbox.enter(lab, limits) as place:
    place.put({f"{lab.module}/{lab.name}/x": b"x"})
    cells = [{"id": "a", "kind": "answer", "source": "!sbatch --wait --wrap 'id -un; hostname'; cat slurm-*.out"}]
    request = asking.cells_request(cells, nonce="n", seconds=60, output_bytes=1 << 20)
    ended = place.run_cells(request, lines.append, limits)
    stopped = place.stop_learner(limits)
    test = {"id": "t", "source": "from hpclab import evidence\\nprint(evidence.jobs()[0].state)", "hidden": False}
    request = {"tests": [test], "seconds": 30, "learner": "learner"}
    place.run_tests(json.dumps(request).encode() + b"\\n", lambda line: lines.append(line), 60)
    print(json.dumps([ended.status, stopped, place.guarded, [line.decode() for line in lines]]))
"""


def assert_worked(printed: str) -> str:
    status, stopped, guarded, lines = json.loads(printed.splitlines()[-1])
    assert (status, stopped) == (0, ""), lines
    assert any("learner" in line and "nid001" in line for line in lines), lines
    assert json.loads(lines[-1])["said"] == "COMPLETED"
    return str(guarded)


def test_an_ordinary_user_starts_one(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("whoever runs these tests is one")
    with new_user() as person:
        done = subprocess.run(
            keeper_of(person, person.home / "state", ONE_RUN),
            capture_output=True,
            text=True,
            timeout=180,
            cwd="/",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert_worked(done.stdout)
        with started(person, f"o{os.getpid()}") as outer:  # whose learner has fewer sub-ids to give
            assert_worked(nested(outer))


def nested(outer: Cluster) -> str:
    """The same in a job on a node of an ordinary cluster, as its learner."""
    words = [msgspec.json.encode(value).decode() for value in (LAB, LIMITS)]
    code = f"import sys; sys.argv[1:] = {words!r}\n{ONE_RUN}"
    extra = f"export PYTHONPATH='{outer.person.environment.get('PYTHONPATH', '')}'\n"
    outer.write("one.py", code)
    return outer.out(
        f"{extra}srun --quiet -C gpu -t5 -q regular --mem=3000 {sys.executable} one.py", timeout=180
    )


def test_one_on_a_node_of_an_ordinary_cluster() -> None:
    with started(myself(), f"n{os.getpid()}", "--nodes", "1") as outer:
        assert "no cgroup" in assert_worked(nested(outer))
