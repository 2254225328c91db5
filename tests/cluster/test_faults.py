"""Every fault is injected on a real cluster, seen in Slurm or in a program, healed, and seen healed.

Each test runs on a cluster of whoever runs the tests and on one of an ordinary user. What is
broken is healed after each test, so the clusters are those that the other tests share.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from hpclab.shell import wait_until

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

CONNECT = """
import socket, statistics, sys, time
def trip():
    start = time.monotonic()
    socket.create_connection((sys.argv[1], 6818), 2).close()
    return time.monotonic() - start
try:
    print(statistics.median(trip() for _ in range(5)))
except OSError as problem:
    print(type(problem).__name__)
"""


@pytest.fixture(params=["cluster", pytest.param("ordinary", marks=pytest.mark.slow)])
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    cluster = request.getfixturevalue(request.param)
    yield cluster
    cluster.hpclab("fault", "heal", "--all")
    cluster.run("scancel --me")
    wait_until(lambda: states(cluster) == {"idle"}, "all nodes to be idle again", seconds=60, every=0.2)


def states(cluster: Cluster, node: str = "") -> set[str]:
    where = f"-n {node}" if node else ""
    return set(cluster.out(f"sinfo -h -N {where} -o %t").split())


def fault(cluster: Cluster, *words: str, undo: str = "") -> str:
    """Break something; the command that it prints must be the one that undoes it."""
    said = cluster.hpclab("fault", *words).stdout
    assert "Expect:" in said
    if undo:
        assert f"hpclab fault heal {undo} --name {cluster.name}" in said
        assert undo in cluster.hpclab("fault", "list").stdout
    return said


def heal(cluster: Cluster, *ids: str) -> None:
    said = cluster.hpclab("fault", "heal", *ids).stdout
    for one in ids:
        assert f"{one} is healed" in said
    assert "Nothing is broken" in cluster.hpclab("fault", "list").stdout


def refused(cluster: Cluster, *words: str) -> str:
    done = cluster.hpclab("fault", *words, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def on(cluster: Cluster, node: str, script: str) -> str:
    """What ``script`` prints as a job on ``node``."""
    words = " ".join(cluster.script_options)
    cluster.write("step.sh", script)
    return cluster.out(f"srun --quiet {words} -w {node} -n 1 bash step.sh", timeout=90)


def answer(cluster: Cluster, node: str) -> str:
    """How long the node's slurmd takes to answer the login node, in seconds; or the error's name."""
    return cluster.out(["python3", "-c", CONNECT, node])


def node_of(cluster: Cluster, job: str) -> str:
    return cluster.out(f"squeue -h -j {job} -o %N")


def test_lost_nodes_go_down_and_their_jobs_are_requeued(lab: Cluster) -> None:
    """Without power, hung, without network: Slurm sees the same; programs do not."""
    script = 'echo "$SLURMD_NODENAME after ${SLURM_RESTART_COUNT:-0}"\n[ -n "$SLURM_RESTART_COUNT" ] || exec sleep 600'
    options = ("--exclusive", "--nodes=1", "--open-mode=append")
    jobs = [lab.sbatch(script, *options, "--requeue")]
    jobs += [lab.sbatch(script, *options, "--no-requeue") for _ in range(2)]
    for job in jobs:
        lab.wait(job, "RUNNING")
        wait_until(lambda job=job: "after 0" in lab.output(job), f"job {job} to begin", seconds=20)
    dead, hung, cut = (node_of(lab, job) for job in jobs)
    assert len({dead, hung, cut}) == 3

    fault(lab, "fill-disk", dead, undo=f"fill-disk-{dead}-tmp")
    fault(lab, "kill-node", dead, undo=f"kill-node-{dead}")
    fault(lab, "freeze-node", hung, undo=f"freeze-node-{hung}")
    fault(lab, "cut-network", cut, undo=f"cut-network-{cut}")

    listed = lab.hpclab("fault", "list").stdout
    assert f"fill-disk-{dead}" not in listed, "the node's /tmp went with its power"
    assert f"kill-node-{dead} is there already" in refused(lab, "kill-node", dead)
    assert "is switched off" in refused(lab, "skew-clock", dead, "--seconds", "60")
    assert answer(lab, hung)[0].isdigit(), "the kernel of a hung node still answers"
    assert answer(lab, dead) in ("TimeoutError", "OSError")
    assert answer(lab, cut) in ("TimeoutError", "OSError")

    wait_until(
        lambda: all(states(lab, node) == {"down*"} for node in (dead, hung, cut)),
        "Slurm to give the nodes up",
        seconds=90,
        every=0.5,
    )
    lab.wait(jobs[1], "NODE_FAIL")
    lab.wait(jobs[2], "NODE_FAIL")
    # Until it runs again, accounting has its first, failed life only.
    wait_until(
        lambda: " after 1" in lab.output(jobs[0]), "the requeued job to run again", seconds=60, every=0.2
    )
    lab.wait(jobs[0], "COMPLETED")
    first, second = lab.output(jobs[0]).splitlines()[:1] + lab.output(jobs[0]).splitlines()[-1:]
    assert first == f"{dead} after 0"
    assert second.endswith(" after 1")
    assert second.split()[0] not in (dead, hung, cut)

    heal(lab, f"kill-node-{dead}", f"freeze-node-{hung}", f"cut-network-{cut}")
    for node in (dead, hung, cut):
        assert not states(lab, node) & {"down*", "down", "idle*"}
        assert on(lab, node, "hostname") == node
    again = lab.hpclab("fault", "heal", f"kill-node-{dead}")
    assert "nothing to heal" in again.stdout


def test_a_job_goes_on_after_a_short_freeze(lab: Cluster) -> None:
    job = lab.sbatch("echo ready; while ! [ -e go-on ]; do sleep 0.1; done; rm go-on; echo done")
    lab.wait(job, "RUNNING")
    wait_until(lambda: "ready" in lab.output(job), "the job to begin", seconds=20)
    node = node_of(lab, job)
    fault(lab, "freeze-node", node, undo=f"freeze-node-{node}")
    ps = lab.as_controller("/run/hpclab/bin/fault-in-node", node, "ps", "-e", "-o", "stat=,comm=").stdout
    still = [line.split() for line in ps.splitlines() if line.split()[1] not in ("s6-svscan", "ps")]
    assert {"slurmd", "slurmstepd:", "sleep"} <= {words[1] for words in still} | {"slurmstepd:"}
    assert all(words[0].startswith("T") for words in still), ps
    heal(lab, f"freeze-node-{node}")
    lab.run("touch go-on")
    lab.wait(job, "COMPLETED")
    assert lab.output(job).split() == ["ready", "done"]


def has_netem(cluster: Cluster) -> bool:
    """Whether this kernel can delay and lose packets: tried, in a network namespace of its own."""
    tried = cluster.as_controller(
        "unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms", check=False
    )
    return tried.returncode == 0


def test_latency(lab: Cluster) -> None:
    before = float(answer(lab, "nid001"))
    if not has_netem(lab):
        said = refused(lab, "latency", "nid001", "--ms", "100")
        assert "sch_netem" in said and "modprobe" in said
        assert "Nothing is broken" in lab.hpclab("fault", "list").stdout
        return
    fault(lab, "latency", "nid001", "--ms", "100", "--jitter", "5", undo="latency-nid001")
    assert float(answer(lab, "nid001")) > before + 0.09
    assert float(answer(lab, "nid002")) < 0.09
    heal(lab, "latency-nid001")
    assert float(answer(lab, "nid001")) < 0.09


def test_loss(lab: Cluster) -> None:
    if not has_netem(lab):
        said = refused(lab, "loss", "nid002", "--percent", "30")
        assert "sch_netem" in said and "modprobe" in said
        assert "Nothing is broken" in lab.hpclab("fault", "list").stdout
        return
    assert received(lab) == 400
    fault(lab, "loss", "nid002", "--percent", "30", undo="loss-nid002")
    assert 200 < received(lab) < 360
    heal(lab, "loss-nid002")
    assert received(lab) == 400


def received(cluster: Cluster) -> int:
    """How many of 400 datagrams from nid002 arrive at the login node."""
    words = " ".join(cluster.script_options)
    cluster.write(
        "send.py",
        "import socket, time\n"
        "out = socket.socket(type=socket.SOCK_DGRAM)\n"
        "for number in range(400):\n    out.sendto(b'x', ('login', 7777)); time.sleep(0.001)\n",
    )
    cluster.write(
        "receive.py",
        "import socket, subprocess, sys\n"
        "into = socket.socket(type=socket.SOCK_DGRAM)\n"
        "into.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)\n"
        "into.bind(('login', 7777))\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "into.setblocking(False)\ncount = 0\n"
        "try:\n    while into.recv(10): count += 1\nexcept BlockingIOError: print(count)\n",
    )
    send = f"srun --quiet {words} -w nid002 -n 1 python3 $SCRATCH/send.py"
    return int(cluster.out(f"python3 receive.py {send}"))


def test_without_the_controller_jobs_go_on(lab: Cluster) -> None:
    job = lab.sbatch("sleep 600")
    lab.wait(job, "RUNNING")
    # The controller saves its state every few seconds; a change that it has not saved would be lost.
    saved = ("stat", "-c", "%y", "/run/hpclab/state/job_state")
    before = lab.as_controller(*saved).stdout
    lab.run(f"scontrol update JobId={job} Comment=saved")
    wait_until(
        lambda: lab.as_controller(*saved).stdout != before, "the state to be saved", seconds=20, every=0.2
    )
    fault(lab, "kill-daemon", "slurmctld", undo="kill-daemon-slurmctld")
    said = lab.run("squeue", check=False)
    assert said.returncode != 0 and "contact slurm controller" in said.stderr
    assert "kill-daemon-slurmctld is there already" in refused(lab, "kill-daemon", "slurmctld")
    heal(lab, "kill-daemon-slurmctld")
    assert lab.out(f"squeue -h -j {job} -o %T") == "RUNNING"
    lab.run(f"scancel {job}")
    lab.wait(job, "CANCELLED")


@pytest.mark.parametrize("daemon", ["slurmdbd", "mariadb"])
def test_without_accounting_jobs_run_and_nothing_is_forgotten(lab: Cluster, daemon: str) -> None:
    fault(lab, "kill-daemon", daemon, undo=f"kill-daemon-{daemon}")
    assert lab.run("sacct", check=False).returncode != 0
    job = lab.sbatch("echo ran")
    wait_until(lambda: lab.out(f"squeue -h -j {job}") == "", "the job to end", seconds=30)
    assert lab.output(job) == "ran"
    heal(lab, f"kill-daemon-{daemon}")
    lab.wait(job, "COMPLETED")


def test_without_munge_nobody_is_known(lab: Cluster) -> None:
    fault(lab, "kill-daemon", "munged", undo="kill-daemon-munged")
    said = lab.run("squeue", check=False)  # tries again for a while
    assert said.returncode != 0 and "unge" in said.stderr
    heal(lab, "kill-daemon-munged")
    assert on(lab, "nid001", "hostname") == "nid001"


def test_without_its_slurmd_a_node_refuses(lab: Cluster) -> None:
    fault(lab, "kill-daemon", "slurmd", "--node", "nid003", undo="kill-daemon-slurmd-nid003")
    assert answer(lab, "nid003") == "ConnectionRefusedError"
    heal(lab, "kill-daemon-slurmd-nid003")
    assert on(lab, "nid003", "hostname") == "nid003"


@pytest.mark.parametrize(
    ("words", "service"),
    [
        (("slurmctld",), "services/slurmctld"),
        (("slurmd", "--node", "nid002"), "nodes/nid002/slurmd"),
    ],
)
def test_the_supervisor_restarts_a_killed_daemon(lab: Cluster, words: tuple[str, ...], service: str) -> None:
    def pid() -> str:
        return lab.as_controller("s6-svstat", "-o", "up,pid", f"/run/hpclab/{service}").stdout

    before = pid()
    assert "nothing to undo" in fault(lab, "kill-daemon", *words, "--restart")
    assert pid().startswith("true") and pid() != before
    assert "Nothing is broken" in lab.hpclab("fault", "list").stdout
    assert on(lab, "nid002", "hostname") == "nid002"


@pytest.mark.parametrize("path", ["/tmp", "/dev/shm"])
@pytest.mark.parametrize("inodes", [False, True], ids=["bytes", "inodes"])
def test_a_full_disk(lab: Cluster, path: str, inodes: bool) -> None:
    try_it = f"echo word >{path}/file && wc -c <{path}/file; stat -f -c '%b %c' {path}; rm -f {path}/file"
    size = on(lab, "nid001", try_it).splitlines()
    assert size[0] == "5"
    name = f"fill-disk-nid001-{path.strip('/').replace('/', '-')}" + "-inodes" * inodes
    fault(lab, "fill-disk", "nid001", "--path", path, *["--inodes"] * inodes, undo=name)
    # A batch job: without inodes in /tmp, PMIx lets no `srun` start.
    job = lab.sbatch(f"echo word >{path}/file\nmktemp --tmpdir={path}", "--nodelist=nid001")
    lab.wait(job, "FAILED" if inodes else "COMPLETED")
    assert "No space left on device" in lab.output(job)
    room = lab.as_controller(
        "/run/hpclab/bin/fault-in-node", "nid001", "stat", "-f", "-c", "%f %d", path
    ).stdout.split()
    assert room[inodes] == "0" and room[not inodes] != "0"
    assert on(lab, "nid002", try_it).splitlines()[0] == "5", "another node's disk is another disk"
    heal(lab, name)
    assert on(lab, "nid001", try_it).splitlines() == size


def test_a_job_that_takes_too_much_memory(lab: Cluster) -> None:
    assert "no job runs on nid001" in refused(lab, "exhaust-memory", "nid001")
    job = lab.sbatch("while ! [ -e go-on ]; do sleep 0.1; done; rm go-on", "--mem=100M", "--nodelist=nid001")
    lab.wait(job, "RUNNING")
    said = fault(lab, "exhaust-memory", "nid001")
    assert "100 MiB" in said and "nothing to undo" in said
    polling = "polling" in lab.hpclab("status").stdout
    row = wait_until(
        lambda: lab.out(f"sacct -n -P -j {job}.0 -o state,exitcode"),
        "the step's record",
        seconds=20,
        every=0.2,
    )
    assert row.startswith("CANCELLED") and row.endswith("0:9") if polling else row == "OUT_OF_MEMORY|0:125"
    assert lab.out("squeue -h --me -o %T") == "RUNNING", "the batch script goes on, as after any failed step"
    lab.run("touch go-on")
    lab.wait(job, "COMPLETED")


@pytest.mark.parametrize("seconds", [3600, -86400])
def test_a_wrong_clock(lab: Cluster, seconds: int) -> None:
    clocks = """
date +%s
python3 - <<'PY'
import queue, subprocess, threading, time
print(int(time.time()))
start = time.monotonic()
time.sleep(0.3)
threading.Event().wait(0.3)
try:
    queue.Queue().get(timeout=0.3)
except queue.Empty:
    pass
subprocess.run(["sleep", "0.1"], timeout=30, check=True)
print(round(time.monotonic() - start, 3))
PY
"""
    assert "cannot be together" not in fault(
        lab, "skew-clock", "nid002", "--seconds", str(seconds), undo="skew-clock-nid002"
    )
    date, python, waited = on(lab, "nid002", clocks).split()
    assert abs(int(date) - time.time() - seconds) < 20
    assert abs(int(python) - time.time() - seconds) < 20
    assert 1 <= float(waited) < 3, "only the wall clock is wrong: what waits, waits as long as ever"
    assert abs(int(on(lab, "nid001", "date +%s")) - time.time()) < 20
    assert "cannot be together" in refused(lab, "fill-disk", "nid002", "--path", "/dev/shm")
    job = lab.sbatch("srun date +%s", "--nodelist=nid002")
    lab.wait(job, "COMPLETED")
    assert abs(int(lab.output(job)) - time.time() - seconds) < 20
    started = lab.out(f'date -d "$(sacct -X -n -P -o start -j {job})" +%s')
    assert abs(int(started) - time.time()) < 60, "accounting has the controller's time"
    heal(lab, "skew-clock-nid002")
    assert abs(int(on(lab, "nid002", "date +%s")) - time.time()) < 20
    assert on(lab, "nid002", "ls -A /dev/shm | grep -c faketime || true") == "0"


@pytest.mark.parametrize("where", ["/tmp", "$SCRATCH"])
def test_a_slow_disk(lab: Cluster, where: str) -> None:
    path = lab.out(f"echo {where}")
    if lab.run("test -r /dev/fuse -a -w /dev/fuse", check=False).returncode:
        assert "/dev/fuse" in refused(lab, "slow-disk", "nid004", "--path", path, "--write-rate", "2M")
        assert "Nothing is broken" in lab.hpclab("fault", "list").stdout
        return
    # fresh data for reading: the page cache would answer for what was just written through the mount
    measure = (
        "import os, sys, time\n"
        f"path = '{path}/measured'\n"
        "start = time.monotonic(); open(path, 'wb').write(b'x' * 4_000_000); wrote = time.monotonic() - start\n"
        "print(round(wrote, 3), oct(os.stat(path).st_mode), os.stat(path).st_uid == os.getuid())\n"
        "os.unlink(path)\n"
        f"os.mkdir('{path}/folder'); os.rmdir('{path}/folder')\n"
    )
    script = f"python3 - <<'PY'\n{measure}PY\n"
    name = "slow-disk-nid004-" + path.strip("/").replace("/", "-")
    quick, mode, mine = on(lab, "nid004", script).split()
    assert float(quick) < 0.8 and mine == "True"
    fault(lab, "slow-disk", "nid004", "--path", path, "--write-rate", "2M", undo=name)
    slow, slow_mode, slow_mine = on(lab, "nid004", script).split()
    assert 1.2 < float(slow) < 10
    assert (slow_mode, slow_mine) == (mode, mine)
    assert float(on(lab, "nid003", script).split()[0]) < 0.8, "other nodes keep their speed"
    heal(lab, name)
    assert float(on(lab, "nid004", script).split()[0]) < 0.8


def test_reading_is_slow_too(lab: Cluster) -> None:
    if lab.run("test -r /dev/fuse -a -w /dev/fuse", check=False).returncode:
        assert "/dev/fuse" in refused(lab, "slow-disk", "nid004", "--path", "/scratch", "--read-rate", "2M")
        return
    lab.run("head -c 4000000 /dev/zero >data")
    read = "bash -c 'TIMEFORMAT=%R; time cat data >/dev/null' 2>&1"
    fault(
        lab, "slow-disk", "nid004", "--path", "/scratch", "--read-rate", "2M", undo="slow-disk-nid004-scratch"
    )
    assert float(on(lab, "nid004", read)) > 1.2
    heal(lab, "slow-disk-nid004-scratch")
    assert float(on(lab, "nid004", read)) < 0.8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("kill-nod", "nid001"), "Did you mean kill-node?"),
        (("kill-node", "nid01"), r"Valid: nid\[001-004\]"),
        (("kill-node", "login"), r"Valid: nid\[001-004\]"),
        (("cut-network", "nid009"), r"Valid: login, nid\[001-004\]"),
        (("kill-daemon", "slurmdb"), "Did you mean slurmdbd?"),
        (("kill-daemon", "slurmd"), "--node"),
        (("kill-daemon", "slurmctld", "--node", "nid001"), "Leave --node out"),
        (("latency", "nid001"), "--ms"),
        (("latency", "nid001", "--ms", "-1"), "cannot be a delay"),
        (("loss", "nid001", "--percent", "101"), "out of range"),
        (("fill-disk", "nid001", "--path", "/etc"), "Valid: /tmp, /dev/shm"),
        (("skew-clock", "nid001", "--seconds", "0"), "out of range"),
        (("slow-disk", "nid001", "--path", "/usr", "--read-rate", "1M"), "Valid: /tmp, /scratch"),
        (("slow-disk", "nid001", "--path", "/scratch/../etc", "--read-rate", "1M"), "Valid: /tmp, /scratch"),
        (("slow-disk", "nid001", "--path", "/tmp", "--read-rate", "fast"), "no rate"),
        (("slow-disk", "nid001", "--path", "/tmp"), "no rate is given"),
        (("heal",), "--all"),
        (("heal", "nonsense"), "nothing is broken"),
    ],
)
def test_bad_words_name_the_good_ones(cluster: Cluster, words: tuple[str, ...], says: str) -> None:
    assert re.search(says, refused(cluster, *words))
    assert "Nothing is broken" in cluster.hpclab("fault", "list").stdout


def test_faults_end_with_the_cluster(start: Callable[..., Cluster]) -> None:
    own = start("--nodes", "2")
    fault(own, "cut-network", "nid001", undo="cut-network-nid001")
    own.down("--force")
    assert "not running" in refused(own, "list")
    own.up("--nodes", "2")
    assert "Nothing is broken" in own.hpclab("fault", "list").stdout
    assert on(own, "nid001", "hostname") == "nid001"
    fault(own, "cut-network", "nid001", undo="cut-network-nid001")
    heal(own, "cut-network-nid001")
