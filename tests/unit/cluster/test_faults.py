"""What a fault would do, decided without a cluster."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from hpclab.cli import fault as cli
from hpclab.cluster import identity
from hpclab.cluster.faults import KINDS, active, memory
from hpclab.cluster.faults.model import Ask, Fault
from hpclab.cluster.process import Supervisor
from hpclab.cluster.spec import Host, Spec
from hpclab.errors import ClusterError, HostUnsuitable, UsageError
from hpclab.sites import load

NOW = Supervisor(pid=10, start_ticks=100, boot_id="a")
OPTIONS: dict[str, dict[str, object]] = {
    "latency": {"ms": 100.0, "jitter": 5.0},
    "loss": {"percent": 10.0},
    "fill-disk": {"path": "/tmp"},
    "slow-disk": {"path": "/scratch", "write-rate": "2M"},
    "skew-clock": {"seconds": 60},
}
JOBS = (
    "JobId=7 JobName=a UserId=learner(1000) JobState=RUNNING Nodes=nid[001-002] CPU_IDs=0 Mem=1G GRES=\n"
    "JobId=8 JobName=b UserId=student1(2001) JobState=RUNNING Nodes=nid001 CPU_IDs=1 Mem=500 GRES=\n"
    "MemAvailable:   8000000 kB\n"
)


@pytest.fixture
def spec(root: Path) -> Spec:
    return Spec(
        name="x",
        site=load("generic", root / "sites"),
        identity=identity.for_root(cgroup="none"),
        host=Host(memory_mib=8000),
    )


def plan(spec: Spec, kind: str, target: str, heard: str = "", **options: object) -> Fault:
    words = {name.replace("_", "-"): value for name, value in options.items()}
    return KINDS[kind].plan(Ask(spec=spec, target=target, options={**OPTIONS.get(kind, {}), **words}), heard)


def made(spec: Spec, kind: str, target: str, **options: object) -> Fault:
    heard = {
        "fill-disk": "4096 100 50",
        "exhaust-memory": JOBS.splitlines()[0] + "\nMemAvailable: 9000000 kB",
    }
    return plan(spec, kind, target, heard.get(kind, ""), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_can_be_undone_and_says_so(spec: Spec, kind: str) -> None:
    target = "slurmctld" if kind == "kill-daemon" else "nid001"
    fault = made(spec, kind, target)
    assert fault.kind == kind
    assert fault.inject and fault.did and fault.expect
    assert fault.id.startswith(kind + "-")
    assert fault.lasts == (kind != "exhaust-memory")
    assert msgspec.json.decode(msgspec.json.encode(fault), type=Fault) == fault


def test_the_disk_gets_its_size_back(spec: Spec) -> None:
    size = plan(spec, "fill-disk", "nid001", "4096 100 50")
    assert "remount,size=409600" in size.undo[0]
    inodes = plan(spec, "fill-disk", "nid001", "4096 100 50", inodes=True, path="/dev/shm")
    assert "remount,nr_inodes=50" in inodes.undo[0]
    assert (size.id, inodes.id) == ("fill-disk-nid001-tmp", "fill-disk-nid001-dev-shm-inodes")


@pytest.mark.parametrize(
    ("path", "id"),
    [
        ("/tmp/", "slow-disk-nid001-tmp"),
        ("/scratch", "slow-disk-nid001-scratch"),
        ("/scratch/learner//data", "slow-disk-nid001-scratch-learner-data"),
        ("/home/learner", "slow-disk-nid001-home-learner"),
    ],
)
def test_folders_that_can_be_slowed(spec: Spec, path: str, id: str) -> None:
    assert made(spec, "slow-disk", "nid001", path=path).id == id


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/scratch/../etc", "/scratchy", "/home/student1", "/tmp/x", "relative"]
)
def test_folders_that_cannot(spec: Spec, path: str) -> None:
    with pytest.raises(UsageError, match="Valid: /tmp, /scratch"):
        made(spec, "slow-disk", "nid001", path=path)


@pytest.mark.parametrize("rate", ["fast", "0", "1T", "-1", "1.5M", "2M --help", ""])
def test_rates_that_are_none(spec: Spec, rate: str) -> None:
    with pytest.raises(UsageError, match="rate"):
        made(spec, "slow-disk", "nid001", **{"write-rate": rate})


def test_jobs_and_their_memory_on_a_node() -> None:
    assert memory.jobs_on("nid001", JOBS) == {"7": ("learner", 1024), "8": ("student1", 500)}
    assert memory.jobs_on("nid002", JOBS) == {"7": ("learner", 1024)}
    assert memory.jobs_on("nid003", JOBS) == {}


def test_the_hog_runs_as_the_jobs_owner(spec: Spec) -> None:
    with pytest.raises(UsageError, match="Running there: 7, 8"):
        plan(spec, "exhaust-memory", "nid001", JOBS)
    with pytest.raises(UsageError, match="job 9 does not run"):
        plan(spec, "exhaust-memory", "nid001", JOBS, job="9")
    [command] = plan(spec, "exhaust-memory", "nid001", JOBS, job="8").inject
    uid = next(who.uid for who in spec.identity.people if who.name == "student1")
    assert str(uid) in command and "8" in command and "625" in command


def test_the_machine_itself_never_runs_out(spec: Spec) -> None:
    with pytest.raises(HostUnsuitable, match="smaller --mem"):
        plan(spec, "exhaust-memory", "nid002", JOBS.replace("8000000", "1400000"))


def since(fault: Fault, start: float, supervisor: Supervisor = NOW) -> Fault:
    return msgspec.structs.replace(fault, since=start, supervisor=supervisor)


def test_records_of_an_earlier_start_do_not_count(spec: Spec, tmp_path: Path) -> None:
    old = since(made(spec, "kill-node", "nid001"), 1, Supervisor(pid=10, start_ticks=99, boot_id="a"))
    late, early = since(made(spec, "kill-node", "nid002"), 3), since(made(spec, "freeze-node", "nid003"), 2)
    for fault in (old, late, early):
        (tmp_path / f"{fault.id}.json").write_bytes(msgspec.json.encode(fault))
    (tmp_path / "torn.json").write_text('{"id":')
    (tmp_path / "half.new").write_text("{}")
    assert active.current(active.recorded(tmp_path), NOW) == [early, late]


def test_the_same_fault_twice_is_refused(spec: Spec) -> None:
    fault = made(spec, "cut-network", "nid001")
    with pytest.raises(ClusterError, match="hpclab fault heal cut-network-nid001 --name x"):
        active.refuse(fault, [fault], "x")
    active.refuse(made(spec, "cut-network", "nid002"), [fault], "x")


def test_a_skewed_clock_needs_room_in_shared_memory(spec: Spec) -> None:
    skewed, full = made(spec, "skew-clock", "nid001"), made(spec, "fill-disk", "nid001", path="/dev/shm")
    for one, other in ((skewed, full), (full, skewed)):
        with pytest.raises(ClusterError, match="cannot be together"):
            active.refuse(one, [other], "x")
    active.refuse(skewed, [made(spec, "fill-disk", "nid002", path="/dev/shm")], "x")
    active.refuse(skewed, [made(spec, "fill-disk", "nid001", path="/tmp")], "x")


def test_a_power_loss_ends_what_was_in_the_node(spec: Spec) -> None:
    dead = made(spec, "kill-node", "nid001")
    over = {
        kind
        for kind in KINDS
        if kind not in ("kill-daemon", "exhaust-memory") and active.ended_by(dead, made(spec, kind, "nid001"))
    }
    assert over == {"freeze-node", "fill-disk", "slow-disk", "skew-clock"}
    assert active.ended_by(dead, made(spec, "kill-daemon", "slurmd", node="nid001"))
    assert not active.ended_by(dead, made(spec, "fill-disk", "nid002"))
    assert not active.ended_by(made(spec, "freeze-node", "nid001"), made(spec, "fill-disk", "nid001"))


def test_nobody_waits_for_what_cannot_get_ready(spec: Spec) -> None:
    dead, cut = made(spec, "kill-node", "nid001"), made(spec, "cut-network", "nid001")
    controller = made(spec, "kill-daemon", "slurmctld")
    assert active.hindering(dead, [cut, controller]) == (cut.id, controller.id)
    assert (
        active.hindering(dead, [made(spec, "cut-network", "nid002"), made(spec, "fill-disk", "nid001")]) == ()
    )
    assert active.hindering(controller, [cut]) == ()


def test_healing_is_by_name(spec: Spec) -> None:
    there = {fault.id: fault for fault in (made(spec, "kill-node", "nid001"), made(spec, "loss", "nid002"))}
    assert active.wanted(there, None) == list(there.values())
    assert active.wanted(there, ["loss-nid002", "loss-nid002"]) == [there["loss-nid002"]]
    assert active.wanted(there, ["kill-node-nid004"]) == [], "healed already"
    with pytest.raises(UsageError, match="Valid: kill-node-nid001, loss-nid002"):
        active.wanted(there, ["nonsense"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_explains_each_fault(kind: str) -> None:
    done = CliRunner().invoke(cli.fault, [kind, "--help"])
    assert done.exit_code == 0
    assert KINDS[kind].help in done.output
    for option in KINDS[kind].options:
        assert f"--{option.name}" in done.output


def test_how_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 10_000.0)
    assert cli.format_since(9_990.0).endswith("(10 s ago)")
    assert cli.format_since(9_800.0).endswith("(3 min 20 s ago)")
    assert cli.format_since(2_000.0).endswith("(2 h 13 min ago)")
