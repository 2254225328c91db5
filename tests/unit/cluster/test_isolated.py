"""What an isolated cluster is told to be: ids, settings, limits. No process is started."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest

from hpclab.cluster import config, identity
from hpclab.cluster.client import IsolatedCluster
from hpclab.cluster.plan import agent_config
from hpclab.cluster.protocol import AgentConfig
from hpclab.cluster.spec import Host, Spec
from hpclab.errors import ClusterError
from hpclab.sandbox.cgroup import CgroupScope
from hpclab.sandbox.ids import Allocation, IdRange, Owner
from hpclab.sandbox.limits import IsolationLimits
from hpclab.sandbox.protocol import pair

USERS = Allocation(Owner.SUBIDS, IdRange(100_000, 200_000, 4096), -1)
LIMITS = IsolationLimits(seconds=60, memory_mib=1000, processes=100, disk_mib=50, inodes=500, jobs=20)


@pytest.fixture
def shut(spec: Spec) -> Spec:
    who = identity.for_isolated(USERS)
    return msgspec.structs.replace(spec, identity=who, isolation=LIMITS, outbound=False)


def order(spec: Spec, template: Path | None = Path("/cache/t.tar")) -> AgentConfig:
    return agent_config(
        spec,
        venv=Path("/course/.venv"),
        shown=[Path("/course/.venv")],
        links={},
        prefix=Path("/cache/packages/debian12"),
        template=template,
        munge_key="secret",
        groups=(),
        learner_groups=(),
    )


# ---- who is who --------------------------------------------------------------------------------


def test_everybody_is_a_sub_id() -> None:
    who = identity.for_isolated(USERS)
    assert not who.by_root and who.maps.owner == Owner.SUBIDS
    assert who.uid_map == ((0, 100_000, 4095), (65_534, 104_095, 1))  # the last one is for nobody
    assert (who.outside_uid(0), who.outside_uid(1000), who.outside_uid(990)) == (100_000, 101_000, 100_990)
    assert who.outside_gid(1000) == 201_000
    assert [person.name for person in who.people] == ["learner", "grader"]


def test_started_by_root_everybody_has_an_id_of_the_allocated_range() -> None:
    who = identity.for_isolated(Allocation(Owner.ROOT, IdRange(0x70030000, 0x70030000, 65_536), -1))
    assert who.by_root and who.maps.owner == Owner.ROOT
    assert who.uid_map == who.gid_map == ((0, 0x70030000, 65_536),)


# ---- settings ----------------------------------------------------------------------------------


def test_control_groups_are_around_it_and_not_slurms(shut: Spec) -> None:
    with_groups = msgspec.structs.replace(shut, host=Host(memory_mib=1, cgroup="v1"))
    assert "proctrack/linuxproc" in config.slurm_conf(with_groups)
    assert "OverMemoryKill" in config.slurm_conf(with_groups)


def test_the_grader_reads_records_and_the_learner_only_submits(shut: Spec) -> None:
    commands = config.accounting_commands(shut).splitlines()
    [learner] = [line for line in commands if line.startswith("add user learner")]
    assert "AdminLevel" not in learner
    [grader] = [line for line in commands if line.startswith("add user grader")]
    assert "AdminLevel=Operator" in grader and "Administrator" not in grader
    assert f"modify cluster {config.CLUSTER} set GrpSubmitJobs=20" in commands


def test_an_ordinary_cluster_has_none_of_this(spec: Spec) -> None:
    assert "GrpSubmitJobs" not in config.accounting_commands(spec)
    assert "max_script_size" not in config.slurm_conf(spec)
    assert "job_env" in config.slurm_conf(spec)


def test_the_order_has_no_folder_of_people_and_no_node_of_the_supervisors(shut: Spec) -> None:
    made = order(shut)
    assert not [name for name in made.tree.folders if name.startswith(("home/", "scratch/"))]
    assert not [
        name
        for name in made.tree.files
        if name.startswith(("services/nid", "services/login", "services/outbound"))
    ]
    assert "spec.json" not in made.tree.files, "it tells of the host"
    assert set(made.nodes) == {"login", *shut.node_names}
    assert "layers/etc/slurm/slurm.conf" in made.tree.files
    assert not [name for name in made.tree.files if name.startswith("layers/etc/") and "slurm/" not in name]
    assert "learner:x:1000:1000" in made.etc["passwd"] and made.etc["subuid"] == ""
    assert 1000 not in made.ours and {0, 960, 961, 962, 990} == set(made.ours)


def test_nothing_of_the_machines_own_accounts_is_shown(shut: Spec) -> None:
    names = {line.split(":")[0] for line in order(shut).etc["passwd"].splitlines()}
    assert names == {"root", "nobody", "slurm", "mysql", "munge", "learner", "grader"}


def test_the_database_is_made_without_nodes(shut: Spec) -> None:
    made = order(shut, template=None)
    assert made.nodes == {} and made.database == ""
    assert "accounting.txt" in made.tree.files


def test_an_order_survives_being_sent(shut: Spec) -> None:
    made = order(shut)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=AgentConfig) == made


# ---- the client --------------------------------------------------------------------------------


def test_an_agent_that_dies_is_an_error(shut: Spec) -> None:
    ours, theirs = pair()
    theirs.close()
    with contextlib.closing(ours), pytest.raises(ClusterError, match="has ended"):
        IsolatedCluster(shut, None, ours, CgroupScope(enforced_by="")).use()  # type: ignore[arg-type]
