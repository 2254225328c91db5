"""Values -> the text of every configuration file. Pure.

Only lines that differ from Slurm's defaults are written, each with its reason. Sources: slurm.conf(5),
slurmdbd.conf(5), gres.conf(5), cgroup.conf(5), mpi.conf(5) of Slurm 22.05.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hpclab.cluster.identity import Account
from hpclab.cluster.spec import CONTROLLER, LOGIN, Spec, address, devices_of
from hpclab.sites import EmulatedCluster, NodeType, Qos

CLUSTER = "hpclab"
DATABASE = "slurm_acct_db"
MUNGE_SOCKET = "/run/munge/munge.socket.2"
MYSQL_SOCKET = "/run/mysqld/mysqld.sock"  # the default of Slurm's plugin


def imitation(spec: Spec) -> EmulatedCluster:
    assert spec.site.cluster is not None  # spec.check refuses a site without one
    return spec.site.cluster


def node_types(spec: Spec) -> list[NodeType]:
    wanted = imitation(spec).node_types
    return [node for node in spec.site.node_type if node.name in wanted]


def features(spec: Spec) -> list[str]:
    """Return the features for --constraint: every node has those of all the site's node types.

    With a laptop's four nodes, there would otherwise be too few of each type.
    """
    found = [feature for node in node_types(spec) for feature in node.features]
    return list(dict.fromkeys(found))


def slurm_conf(spec: Spec) -> str:
    site = imitation(spec)
    by_cgroup = spec.jobs_by_cgroup
    gres = [len(devices_of(spec, index)) for index in range(spec.nodes)]
    kind = gpu_type(spec)
    lines = [
        f"ClusterName={CLUSTER}",
        f"SlurmctldHost={CONTROLLER}({address(CONTROLLER)})",
        "SlurmUser=slurm",
        "StateSaveLocation=/run/hpclab/state",
        "SlurmdSpoolDir=/run/hpclab/spool/%n",
        "SlurmctldPidFile=/run/hpclab/pid/slurmctld.pid",
        "SlurmdPidFile=/run/hpclab/pid/%n.pid",
        "SlurmctldLogFile=/run/hpclab/log/slurmctld.log",
        "SlurmdLogFile=/run/hpclab/log/%n.log",
        "# IDs of jobs that a killed controller forgot are never given out again (recovery.py).",
        "Include /run/hpclab/slurm/first-job-id.conf",
        "# A requeued job waits until its credential has expired; the default is 120 s.",
        f"AuthInfo=socket={MUNGE_SOCKET},cred_expire=10",
        "# Nodes claim more CPUs than the host has.",
        "SlurmdParameters=config_overrides",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory",
        f"DefMemPerCPU={spec.memory_mib // spec.cpus_per_node}",
        f"ProctrackType=proctrack/{'cgroup' if by_cgroup else 'linuxproc'}",
        f"TaskPlugin=task/{'cgroup' if by_cgroup else 'none'}",
        "JobAcctGatherType=jobacct_gather/linux",
        "JobAcctGatherFrequency=task=1",
        *([] if by_cgroup else ["JobAcctGatherParams=OverMemoryKill"]),
        "MpiDefault=pmix",
        "# salloc opens its shell on the first node of the job, as at large sites.",
        "LaunchParameters=use_interactive_step",
        "ReturnToService=2",
        "SlurmdTimeout=20",
        "KillWait=5",
        "# A burst of short jobs starts at once instead of at the next round.",
        "SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0"
        # In memory, a script of untrusted code must not take 4 MB.
        + (",max_script_size=262144" if spec.isolation else ""),
        "PriorityType=priority/multifactor",
        "PriorityWeightQOS=100000",
        "PriorityWeightAge=1000",
        "PreemptType=preempt/qos",
        "PreemptMode=REQUEUE",
        "# A preempted job gets the signal it asked for with --signal.",
        "SlurmctldParameters=preempt_send_user_signal",
        "AccountingStorageType=accounting_storage/slurmdbd",
        f"AccountingStorageHost={CONTROLLER}",
        "AccountingStorageEnforce=associations,limits,qos",
        "AccountingStorageTRES=gres/gpu",
        "# The submitted script is evidence: `sacct -B` shows it.",
        # For untrusted code, don't store environments: megabytes per job in a database that is in memory.
        f"AccountingStoreFlags=job_script,{'' if spec.isolation else 'job_env,'}job_comment",
        "JobSubmitPlugins=lua",
        f"JobRequeue={int(site.requeue_by_default)}",
        "GresTypes=gpu",
        "MaxJobCount=20000",
        "MaxArraySize=10001",
    ]
    for index, (name, gpus) in enumerate(zip(spec.node_names, gres, strict=True)):
        if index and gpus == gres[0] and len(set(gres)) == 1:
            break  # one line names all of them
        everyone = len(set(gres)) == 1
        lines.append(
            f"NodeName={spec.node_range if everyone else name}"
            f" NodeAddr={_addresses(spec) if everyone else address(name)}"
            f" CPUs={spec.cpus_per_node} CoresPerSocket={spec.cpus_per_node} RealMemory={spec.memory_mib}"
            + (f" Gres=gpu:{kind}:{gpus}" if gpus else "")
            + f" Feature={','.join(features(spec))}"
        )
    lines.append(
        f"PartitionName={site.partition} Nodes=ALL Default=YES State=UP"
        f" MaxTime={site.max_time_minutes or 'UNLIMITED'}"
        + (f" DefaultTime={site.default_time_minutes}" if site.default_time_minutes else "")
    )
    return "\n".join(lines) + "\n"


def _addresses(spec: Spec) -> str:
    first, last = address(spec.node_names[0]), address(spec.node_names[-1])
    prefix, start = first.rsplit(".", 1)
    return first if first == last else f"{prefix}.[{start}-{last.rsplit('.', 1)[1]}]"


def gpu_type(spec: Spec) -> str:
    """Return the GPU type as Slurm shows it: never a model's name without such a device."""
    return "emulated" if spec.emulated_gpus else "nvidia"


def gres_conf(spec: Spec) -> str:
    lines = [
        f"NodeName={name} Name=gpu Type={gpu_type(spec)} File={device}"
        for index, name in enumerate(spec.node_names)
        for device in devices_of(spec, index)
    ]
    return "\n".join(lines) + "\n"


def cgroup_conf(spec: Spec) -> str:
    if not spec.jobs_by_cgroup:
        return "CgroupPlugin=cgroup/v1\n"  # slurmd reads the file at start; nothing uses it
    return "\n".join(
        [
            f"CgroupPlugin=cgroup/{spec.host.cgroup}",
            "CgroupMountpoint=/sys/fs/cgroup",
            "ConstrainRAMSpace=yes",
            "ConstrainSwapSpace=no",
            "ConstrainCores=no",  # nodes claim more CPUs than the host has
            "ConstrainDevices=no",
            *(["IgnoreSystemd=yes"] if spec.host.cgroup == "v2" else []),
            "",
        ]
    )


def mpi_conf() -> str:
    """Return mpi.conf: how srun's ranks connect. Slurm's default passes a barrier through a tree of nodes.

    In 22.05 that tree releases some ranks before the last one has arrived: under load, one start in twelve of
    an Open MPI program on four nodes died in MPI_Init (10 of 120; with the ring, 0 of 120).
    """
    return "PMIxCollFence=ring\n"


def slurmdbd_conf() -> str:
    return "\n".join(
        [
            "AuthType=auth/munge",
            f"AuthInfo=socket={MUNGE_SOCKET}",
            f"DbdHost={CONTROLLER}",
            "SlurmUser=slurm",
            "StorageType=accounting_storage/mysql",
            "StorageHost=localhost",
            "StorageUser=slurm",
            f"StorageLoc={DATABASE}",
            "PidFile=/run/hpclab/pid/slurmdbd.pid",
            "LogFile=/run/hpclab/log/slurmdbd.log",
            "",
        ]
    )


def submit_filter(spec: Spec) -> str:
    """Return job_submit.lua: refuses what the site refuses, with the messages of its profile."""
    refuses = {rule.when: rule.says for rule in imitation(spec).refuses}
    without_gpus = [
        feature
        for node in node_types(spec)
        if not node.gpus
        for feature in node.features
        if not any(other.gpus and feature in other.features for other in node_types(spec))
    ]
    tables = "\n".join(
        [
            f"local refuses = {_lua_table(refuses)}",
            f"local known = {_lua_table({feature: '1' for feature in features(spec)})}",
            f"local without_gpus = {_lua_table({feature: '1' for feature in without_gpus})}",
            # Accounting keeps every submitted job: limit how much of the database untrusted code can fill.
            f"local most = {'{ jobs = 5000, bytes = 64 * 2^20 }' if spec.isolation else 'nil'}",
        ]
    )
    return tables + "\n" + (Path(__file__).parent / "files" / "job_submit.lua").read_text()


def _lua_table(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"[{_lua(key)}] = {_lua(text)}" for key, text in values.items()) + "}"


def _lua(text: str) -> str:
    """Return a Lua string. JSON's escapes are valid in Lua except \\u, so non-ASCII text stays as it is."""
    return json.dumps(text, ensure_ascii=False)


def hosts(spec: Spec) -> str:
    rows = ["127.0.0.1 localhost"]
    rows += [f"{address(name)} {name}" for name in (CONTROLLER, LOGIN, *spec.node_names)]
    return "\n".join(rows) + "\n"


def passwd(spec: Spec, host_text: str) -> str:
    """Return the cluster's /etc/passwd: the host's system accounts and the cluster's own accounts."""
    ours = [*spec.identity.daemons, spec.identity.learner, *spec.identity.accounts]
    rows = _system_rows(host_text, ours)
    rows += [f"{who.name}:x:{who.uid}:{who.gid}:{who.title}:{who.home}:{who.shell}" for who in ours]
    return "\n".join(rows) + "\n"


def group(spec: Spec, host_text: str) -> str:
    ours = [*spec.identity.daemons, spec.identity.learner, *spec.identity.accounts]
    rows = [":".join(row.split(":")[:3]) + ":" for row in _system_rows(host_text, ours)]
    rows += [f"{who.name}:x:{who.gid}:" for who in ours]
    return "\n".join(rows) + "\n"


def _system_rows(text: str, ours: Sequence[Account]) -> list[str]:
    """Return rows of the host's system accounts (id below 1000, and nobody) that don't clash with ours."""
    names, ids = {who.name for who in ours}, {who.uid for who in ours}
    kept = []
    for row in text.splitlines():
        fields = row.split(":")
        if len(fields) < 3 or not fields[2].isdigit():
            continue
        number = int(fields[2])
        if fields[0] not in names and number not in ids and (number < 1000 or number == 65534):
            kept.append(row)
    return kept


def subids(spec: Spec) -> str:
    first, count = spec.identity.subids
    return f"{spec.identity.learner.name}:{first}:{count}\n"


def profile(spec: Spec, venv: Path) -> str:
    """Return /etc/profile.d/hpclab.sh: the settings of a login shell on the cluster."""
    return "\n".join(
        [
            "# Written by hpclab: the environment of a login on the embedded cluster.",
            f"export PATH={_sh(str(venv / 'bin'))}:$PATH",
            f"export HPCLAB_CLUSTER={spec.name} HPCLAB_SITE=${{HPCLAB_SITE:-local}}",
            "export SCRATCH=/scratch/$(id -un)",
            'export XDG_RUNTIME_DIR=/tmp/run-$(id -u); mkdir -p -m 700 "$XDG_RUNTIME_DIR"',
            "# Where a node's clock is skewed (hpclab fault skew-clock), only the wall clock is, and files keep their times.",
            "export FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1",
            "# MPI and gloo talk over the cluster's own network, never over the login node's way out.",
            "export OMPI_MCA_btl_tcp_if_include=hsn0 GLOO_SOCKET_IFNAME=hsn0 NCCL_SOCKET_IFNAME=hsn0",
            "# Ranks of one node in different containers cannot read each other's memory directly.",
            "export OMPI_MCA_btl_vader_single_copy_mechanism=none",
            "",
        ]
    )


def _sh(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def accounting_commands(spec: Spec) -> str:
    """Return sacctmgr commands that create this cluster's accounts, QOS and users."""
    site = imitation(spec)
    # Few commands: each sacctmgr command takes a third of a second, however many names it has.
    new = ",".join(qos.name for qos in site.qos if qos.name != "normal")
    lines = [f"add qos {new}"] if new else []
    lines += [f"modify qos {qos.name} set {_qos_settings(qos)}" for qos in site.qos]
    # Users inherit their account's QOS.
    every = ",".join(qos.name for qos in site.qos)
    accounts = ",".join(site.accounts)
    lines.append(
        f"add account {accounts} Description=course Organization=course QOS={every} DefaultQOS={site.default_qos}"
    )
    if spec.isolation:
        users = f"Account={accounts} DefaultAccount={site.accounts[0]}"
        lines.append(f"add user {spec.identity.learner.name} {users}")
        # Set on the whole cluster: a limit in a QOS would take precedence over an account's or a user's.
        lines.append(f"modify cluster {CLUSTER} set GrpSubmitJobs={spec.isolation.jobs}")
        # The lowest level with which sacct shows other users' scripts.
        graders = ",".join(who.name for who in spec.identity.accounts)
        lines.append(f"add user {graders},root {users} AdminLevel=Operator")
        return "\n".join(lines) + "\n"
    people = ",".join([*(who.name for who in spec.identity.people), "root"])
    lines.append(f"add user {people} Account={accounts} DefaultAccount={site.accounts[0]}")
    return "\n".join(lines) + "\n"


def _qos_settings(qos: Qos) -> str:
    grace = qos.embedded_grace_seconds or qos.grace_seconds
    settings = [f"Priority={qos.priority}"]
    most = [f"node={qos.max_nodes}"] * bool(qos.max_nodes) + [f"gres/gpu={qos.max_gpus}"] * bool(qos.max_gpus)
    if most:
        settings.append(f"MaxTRESPerJob={','.join(most)}")
    if qos.deny_on_limit:
        settings.append("Flags=DenyOnLimit")
    if qos.max_wall_minutes:
        settings.append(f"MaxWall={qos.max_wall_minutes}")
    if qos.max_submit_jobs:
        settings.append(f"MaxSubmitJobsPerUser={qos.max_submit_jobs}")
    if qos.max_running_jobs:
        settings.append(f"MaxJobsPerUser={qos.max_running_jobs}")
    if qos.preempts:
        settings.append(f"Preempt={','.join(qos.preempts)}")
    if qos.preempt_requeue:
        settings.append("PreemptMode=Requeue")
    if grace:
        settings.append(f"GraceTime={grace}")
    return " ".join(settings)
