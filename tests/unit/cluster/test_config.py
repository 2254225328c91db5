"""The text of the configuration files has what matters."""

from __future__ import annotations

import shutil
import subprocess

import msgspec
import pytest

from hpclab.cluster import config
from hpclab.cluster.spec import Host, Spec
from hpclab.sites import EmulatedCluster, Qos, SubmitRefusal

HOST_PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
slurm:x:64030:64030::/:/usr/sbin/nologin
mysql:x:105:110::/:/bin/false
clash:x:960:960::/:/bin/false
bob:x:1002:1002::/home/bob:/bin/bash
ada:x:1001:1001::/home/ada:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
broken line
+::::::
"""


def changed(spec: Spec, **values: object) -> Spec:
    return msgspec.structs.replace(spec, **values)


def imitating(spec: Spec, **values: object) -> Spec:
    """``spec`` with other values in the site's [cluster] part."""
    site = msgspec.structs.replace(
        spec.site, cluster=msgspec.structs.replace(config.imitation(spec), **values)
    )
    return changed(spec, site=site)


def settings(text: str) -> dict[str, str]:
    """KEY=VALUE lines with one pair each."""
    return dict(
        line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith(("#", "Node"))
    )


def test_slurm_conf_without_cgroups(spec: Spec) -> None:
    found = settings(config.slurm_conf(spec))
    assert found["TaskPlugin"] == "task/none"
    assert found["ProctrackType"] == "proctrack/linuxproc"
    assert found["JobAcctGatherParams"] == "OverMemoryKill"
    assert found["AccountingStorageEnforce"] == "associations,limits,qos"
    assert found["JobRequeue"] == "0"
    assert found["MpiDefault"] == "pmix"
    assert "job_script" in found["AccountingStoreFlags"]


def test_slurm_conf_with_cgroups(spec: Spec) -> None:
    by_root = changed(spec, host=Host(memory_mib=8000, cgroup="v1"))
    found = settings(config.slurm_conf(by_root))
    assert found["TaskPlugin"] == "task/cgroup"
    assert "JobAcctGatherParams" not in found
    assert "ConstrainRAMSpace=yes" in config.cgroup_conf(by_root)
    assert "ConstrainRAMSpace" not in config.cgroup_conf(spec)


def node_lines(spec: Spec) -> list[str]:
    return [line for line in config.slurm_conf(spec).splitlines() if line.startswith("NodeName")]


def test_equal_nodes_stand_on_one_line(spec: Spec) -> None:
    [line] = node_lines(spec)
    assert line.startswith("NodeName=nid[001-004] NodeAddr=10.77.1.[1-4] CPUs=4 ")
    assert "Gres=gpu:emulated:4" in line and "Feature=gpu,a100,hbm40g,hbm80g,cpu" in line
    [one] = node_lines(changed(spec, nodes=1))
    assert one.startswith("NodeName=nid001 NodeAddr=10.77.1.1 ")
    [none] = node_lines(changed(spec, gpus_per_node=0))
    assert "Gres" not in none


def test_unequal_nodes_have_a_line_each(spec: Spec) -> None:
    few = changed(spec, host=Host(memory_mib=1, gpu_devices=("/dev/nvidia0", "/dev/nvidia1")))
    lines = node_lines(few)
    assert [line.split()[0] for line in lines] == [f"NodeName=nid00{number}" for number in (1, 2, 3, 4)]
    assert ["Gres=gpu:nvidia:1" in line for line in lines] == [True, True, False, False]
    assert config.gres_conf(few).splitlines() == [
        "NodeName=nid001 Name=gpu Type=nvidia File=/dev/nvidia0",
        "NodeName=nid002 Name=gpu Type=nvidia File=/dev/nvidia1",
    ]


def test_emulated_gpus_are_labelled(spec: Spec) -> None:
    assert len(config.gres_conf(spec).splitlines()) == 16
    assert all("Type=emulated" in line for line in config.gres_conf(spec).splitlines())


def test_default_memory_is_a_cpus_share(spec: Spec) -> None:
    assert settings(config.slurm_conf(changed(spec, memory_mib=1000)))["DefMemPerCPU"] == "250"


def test_passwd_has_the_hosts_system_accounts_and_our_people(spec: Spec) -> None:
    rows = [row.split(":") for row in config.passwd(spec, HOST_PASSWD).splitlines()]
    names = [row[0] for row in rows]
    assert len(names) == len(set(names))
    assert {"root", "daemon", "nobody", "slurm", "mysql", "munge", "ada", "student1", "student40"} <= set(
        names
    )
    assert "bob" not in names, "a person of the host"
    assert "clash" not in names, "its number is one of ours"
    numbers = {row[0]: int(row[2]) for row in rows}
    assert (numbers["ada"], numbers["slurm"], numbers["mysql"]) == (1001, 960, 961)
    assert all(len(row) == 7 for row in rows)


def test_group_names_nobody_of_the_host(spec: Spec) -> None:
    text = config.group(spec, "root:x:0:\nsudo:x:27:bob,ada\nada:x:1001:\ndocker:x:999:ada\n")
    assert "sudo:x:27:\n" in text and "docker:x:999:\n" in text
    assert text.count("ada:x:1001:") == 1
    assert "bob" not in text


def test_hosts_names_every_machine(spec: Spec) -> None:
    rows = dict(reversed(line.split()) for line in config.hosts(spec).splitlines())
    assert rows["ctl"] == "10.77.0.1" and rows["login"] == "10.77.0.2" and rows["nid004"] == "10.77.1.4"


def test_the_profile_survives_any_path(spec: Spec, tmp_path) -> None:  # type: ignore[no-untyped-def]
    venv = tmp_path / "it's a $HOME; `path`"
    text = config.profile(spec, venv)
    done = subprocess.run(
        ["sh", "-c", text + '\nprintf %s "$PATH"'],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"{venv}/bin:")


def test_accounting_commands(spec: Spec) -> None:
    text = config.accounting_commands(spec)
    assert "modify qos preempt set Priority=67679 MaxTRESPerJob=node=128 Flags=DenyOnLimit" in text
    assert "PreemptMode=Requeue GraceTime=5" in text
    assert "Preempt=preempt,overrun" in text
    assert "MaxTRESPerJob=node=1,gres/gpu=2" in text
    assert "MaxSubmitJobsPerUser=5 MaxJobsPerUser=2" in text
    assert "Account=m0000,m0000_g" in text and "DefaultQOS=debug" in text
    assert "student40" in text and "ada" in text


def test_the_embedded_grace_replaces_the_sites(spec: Spec) -> None:
    both = Qos(name="q", grace_seconds=60, embedded_grace_seconds=5)
    theirs = Qos(name="q", grace_seconds=60)
    assert "GraceTime=5" in config.accounting_commands(imitating(spec, qos=[both]))
    assert "GraceTime=60" in config.accounting_commands(imitating(spec, qos=[theirs]))
    assert "GraceTime" not in config.accounting_commands(imitating(spec, qos=[Qos(name="q")]))


def test_a_qos_called_normal_is_there_already(spec: Spec) -> None:
    text = config.accounting_commands(imitating(spec, qos=[Qos(name="normal", priority=7)]))
    assert "add qos" not in text
    assert "modify qos normal set Priority=7" in text


HARD = [
    "plain",
    'a "quoted" word',
    "back\\slash",
    "two\nlines",
    "100 %",
    "a ]] b",
    "naïve “so” 😀",
    "tab\there",
]


@pytest.mark.parametrize("words", HARD)
def test_the_sites_words_reach_lua_unchanged(spec: Spec, words: str) -> None:
    text = config.submit_filter(imitating(spec, refuses=[SubmitRefusal(when="no-constraint", says=words)]))
    first = next(line for line in text.splitlines() if line.startswith("local refuses"))
    assert "\\u" not in first, "Lua knows \\u{...} only"
    lua = shutil.which("lua5.3") or shutil.which("lua") or shutil.which("lua5.4")
    if lua:
        program = f'{first}\nio.write(refuses["no-constraint"])'
        done = subprocess.run([lua, "-"], input=program.encode(), capture_output=True, check=True)
        assert done.stdout.decode() == words


def test_the_submit_filter_knows_the_sites_nodes(spec: Spec) -> None:
    text = config.submit_filter(spec)
    known = next(line for line in text.splitlines() if line.startswith("local known"))
    assert all(f'["{feature}"]' in known for feature in ("cpu", "gpu", "hbm80g"))
    without = next(line for line in text.splitlines() if line.startswith("local without_gpus"))
    assert '["cpu"]' in without and "gpu" not in without.replace("without_gpus", "")


def test_limits_of_the_partition(spec: Spec) -> None:
    site = config.imitation(spec)
    assert isinstance(site, EmulatedCluster)
    bounded = imitating(spec, max_time_minutes=90, default_time_minutes=0)
    [line] = [row for row in config.slurm_conf(bounded).splitlines() if row.startswith("PartitionName")]
    assert "MaxTime=90" in line and "DefaultTime" not in line
