"""The plan: services, files and their owners, mounts, cables."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from hpclab.cluster import plan, services
from hpclab.cluster.boot import Plan
from hpclab.cluster.spec import Host, Spec

ETC = {
    "passwd": "root:x:0:0::/root:/bin/sh\n",
    "group": "root:x:0:\n",
    "resolv.conf": "nameserver 192.0.2.1\n",
}


@pytest.fixture
def made(spec: Spec) -> Plan:
    return whole(spec)


def whole(spec: Spec, **values: object) -> Plan:
    given: dict[str, object] = {
        "folder": Path("/state/clusters/test"),
        "prefix": Path("/cache/packages/debian12"),
        "venv": Path("/course/.venv"),
        "expose": [Path("/root/course")],
        "writable": [Path("/root/course/lab")],
        "host_etc": ETC,
        "munge_key": "secret",
        "template": Path("/cache/t.tar"),
        "key": "0123",
    }
    return plan.cluster_plan(spec, **(given | values))  # type: ignore[arg-type]


def test_secrets_belong_to_their_daemons(spec: Spec, made: Plan) -> None:
    ids = {who.name: who.uid for who in spec.identity.daemons}
    text, uid, _, mode = made.tree.files["munge/munge.key"]
    assert (text, uid, mode) == ("secret", ids["munge"], 0o600)
    _, uid, _, mode = made.tree.files["layers/etc/slurm/slurmdbd.conf"]
    assert (uid, mode) == (ids["slurm"], 0o600)
    for name, owner in {"db": "mysql", "state": "slurm", "munge": "munge"}.items():
        uid, _, mode = made.tree.folders[name]
        assert (uid, stat.S_IMODE(mode)) == (ids[owner], 0o700)


def test_nothing_else_is_writable_by_others(made: Plan) -> None:
    open_folders = [name for name, (_, _, mode) in made.tree.folders.items() if mode & 0o022]
    assert open_folders == []
    assert not [name for name, (_, _, _, mode) in made.tree.files.items() if mode & 0o022]


def test_everybody_has_scratch_and_course_accounts_a_home(spec: Spec, made: Plan) -> None:
    for who in spec.identity.people:
        assert made.tree.folders[f"scratch/{who.name}"] == (who.uid, who.gid, 0o700)
    assert made.tree.folders["home/student1"][2] == 0o700
    assert "home/ada" not in made.tree.folders, "an ordinary user has a home"
    assert made.homes["/home/student1"] == "home/student1"


def test_scripts_can_be_started_and_settings_cannot(made: Plan) -> None:
    scripts = {name for name, (text, *_) in made.tree.files.items() if text.startswith("#!")}
    assert {name for name, (*_, mode) in made.tree.files.items() if mode & 0o111} == scripts
    assert scripts and set(made.tree.files) - scripts


def test_every_program_a_service_names_is_there(made: Plan) -> None:
    texts = "\n".join(text for text, *_ in made.tree.files.values())
    words = texts.replace('"', " ").replace("'", " ").split()
    named = {word.strip("()&;") for word in words if word.startswith("/run/hpclab/bin/")}
    assert named
    assert {word.removeprefix("/run/hpclab/") for word in named} <= set(made.tree.files)


def test_a_plan_survives_being_sent(made: Plan) -> None:
    assert msgspec.json.decode(msgspec.json.encode(made), type=Plan) == made
    assert b"\n" not in msgspec.json.encode(made), "boot reads one line"


def test_numbers_begin_anew_only_with_a_new_database(spec: Spec, made: Plan) -> None:
    assert made.tree.files["slurm/first-job-id.conf"][0] == "FirstJobId=1\n"
    kept = whole(spec, template=None)
    assert "slurm/first-job-id.conf" not in kept.tree.files
    assert kept.database == ""


def test_a_cable_to_every_machine(spec: Spec, made: Plan) -> None:
    batches = dict(made.network)
    assert sorted(batches[""].split("netns add ")[1:]) == sorted(
        f"{name}\n" for name in ("ctl", "login", *spec.node_names)
    )
    for name in ("login", *spec.node_names):
        assert f"link add {name} type veth peer name hsn0 netns {name}\n" in batches["ctl"]
    assert "eth" not in batches["ctl"].replace("veth", "")


def test_the_way_out_is_a_choice_and_a_question_of_the_host(spec: Spec) -> None:
    assert "services/outbound/run" in whole(spec).tree.files
    closed = msgspec.structs.replace(spec, outbound=False)
    unable = msgspec.structs.replace(spec, host=Host(memory_mib=1, outbound=False))
    for one in (closed, unable):
        assert "services/outbound/run" not in whole(one).tree.files


def test_the_host_cannot_be_reached_through_the_way_out() -> None:
    assert "--disable-host-loopback" in services.outbound()["outbound/run"]


def test_daemons_run_without_root_and_say_when_they_are_ready(spec: Spec) -> None:
    files = services.controller(spec)
    for name in ("munged", "mariadb", "slurmdbd", "slurmctld"):
        run = files[f"{name}/run"]
        assert "s6-setuidgid" in run and "s6-notifyoncheck" in run
        assert files[f"{name}/notification-fd"] == "3\n"
        assert f"{name}/data/check" in files
    assert "slurmctld" not in files["slurmdbd/run"].split("exec nsenter")[0]


def test_nodes_join_their_cgroups_only_where_there_are_some(spec: Spec) -> None:
    assert "cgroup.procs" not in services.nodes(spec)["nid001/run"]
    by_root = msgspec.structs.replace(spec, host=Host(memory_mib=1, cgroup="v1"))
    run = services.nodes(by_root)["nid001/run"]
    assert "/sys/fs/cgroup/memory/hpclab-test/nid001/cgroup.procs" in run
    assert run.index("cgroup.procs") < run.index("unshare"), "a cgroup namespace begins where the process is"


def test_the_accounting_plan_has_no_nodes(spec: Spec) -> None:
    made = plan.accounting_plan(
        spec, folder=Path("/x"), prefix=Path("/p"), expose=[], host_etc=ETC, munge_key="secret"
    )
    assert not [
        name for name in made.tree.files if name.startswith(("nodes/", "services/nid", "services/login"))
    ]
    assert "add account m0000,m0000_g " in made.tree.files["accounting.txt"][0]
