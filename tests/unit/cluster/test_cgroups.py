"""The control groups of a lasting cluster, on a made-up tree; files below tmp_path stand for the kernel's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hpclab.cluster import cgroups, config, services
from hpclab.cluster.identity import Identity
from hpclab.cluster.spec import Host, Spec

OFFERED = "cpuset cpu io memory hugetlb pids rdma misc\n"


def group(path: Path, offered: str = OFFERED) -> Path:
    path.mkdir(exist_ok=True)
    (path / "cgroup.controllers").write_text(offered)
    for name in cgroups.DELEGATED:
        (path / name).write_text("")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    group(tmp_path / "cgroup")
    group(tmp_path / "cgroup/user.slice")
    group(tmp_path / "cgroup/user.slice/mine")
    return tmp_path / "cgroup"


@pytest.fixture
def on_v2(spec: Spec) -> Spec:
    host = Host(memory_mib=8000, cgroup="v2", cgroup_top="/sys/fs/cgroup/user.slice/mine")
    return msgspec.structs.replace(spec, host=host)


def test_a_node_is_run_by_in_group(spec: Spec, on_v2: Spec) -> None:
    run = services.nodes(on_v2)["nid001/run"]
    assert "in-group /sys/fs/cgroup/user.slice/mine/hpclab-test/nid001 nsenter" in run
    assert "--cgroup" not in run, "in-group has made the namespace: a second one would begin at the leaf"
    assert run.rstrip().endswith(" v2")
    assert "in-group" not in services.nodes(spec)["nid001/run"]


def test_slurm_is_told_the_version(on_v2: Spec) -> None:
    found = config.cgroup_conf(on_v2)
    assert "CgroupPlugin=cgroup/v2\n" in found and "IgnoreSystemd=yes\n" in found


def test_the_groups_go_to_the_clusters_root(tree: Path, on_v2: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tree / "user.slice/mine"
    there = msgspec.structs.replace(on_v2, host=msgspec.structs.replace(on_v2.host, cgroup_top=str(top)))
    cgroups.create(there)
    assert (top / "cgroup.subtree_control").read_text() == "+memory +pids"
    mine = top / "hpclab-test"
    assert {path.name for path in mine.iterdir()} == {"main", "login", *there.node_names}
    (mine / "nid001/memory.swap.max").write_text("max\n")
    ran: list[tuple[list[str], Path]] = []

    def note(identity: Identity, argv: list[str], folder: Path) -> None:
        ran.append((argv, folder))

    monkeypatch.setattr("hpclab.cluster.namespace.as_root_of", note)
    cgroups.enter(there, 7)
    cgroups.delegate(there, 7)
    assert [(mine / name / "cgroup.procs").read_text() for name in ("", "main")] == ["7", "7"]
    assert (mine / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (mine / "nid001/memory.swap.max").read_text() == "0"
    [(argv, folder)] = ran
    assert folder == mine and argv[:3] == ["chown", "0:0", "--"]
    assert {".", "main", "nid004/cgroup.subtree_control", "cgroup.procs"} <= set(argv)


def test_without_cgroups_nothing_is_made(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: pytest.fail("made a folder"))
    cgroups.create(spec)
    cgroups.enter(spec, 7)
    cgroups.delegate(spec, 7)
