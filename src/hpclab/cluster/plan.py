"""Spec -> Plan: every file, folder, mount and virtual cable of a cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from hpclab.cluster import config, services
from hpclab.cluster.boot import Plan, Tree
from hpclab.cluster.protocol import AgentConfig
from hpclab.cluster.spec import CONTROLLER, LOGIN, NETWORK, Spec, address, devices_of

FILES = Path(__file__).parent / "files"
PROGRAMS = tuple(sorted(path.name for path in FILES.iterdir() if not path.suffix))


def cluster_plan(
    spec: Spec,
    *,
    folder: Path,
    prefix: Path,
    venv: Path,
    expose: Sequence[Path],
    writable: Sequence[Path],
    host_etc: Mapping[str, str],
    munge_key: str,
    template: Path | None,
    key: str,
) -> Plan:
    """Return the plan of a whole cluster.

    ``host_etc`` has the texts of the host's passwd, group and resolv.conf. ``template`` is the database
    to start from, None where the folder holds the database of an earlier start; ``key`` names that database.
    """
    network = services.outbound() if spec.outbound and spec.host.outbound else {}
    layers = {
        "layers/etc/passwd": config.passwd(spec, host_etc["passwd"]),
        "layers/etc/group": config.group(spec, host_etc["group"]),
        "layers/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
        "layers/etc/hosts": config.hosts(spec),
        "layers/etc/hostname": CONTROLLER + "\n",
        "layers/etc/ld.so.preload": "",  # a mount point, for a node with a skewed clock
        "layers/etc/faketimerc": "",
        "layers/etc/resolv.conf": host_etc["resolv.conf"],
        "layers/etc/subuid": config.subids(spec),
        "layers/etc/subgid": config.subids(spec),
        "layers/etc/profile.d/zz-hpclab.sh": config.profile(spec, venv),
        "layers/etc/slurm/slurm.conf": config.slurm_conf(spec),
        "layers/etc/slurm/gres.conf": config.gres_conf(spec),
        "layers/etc/slurm/cgroup.conf": config.cgroup_conf(spec),
        "layers/etc/slurm/mpi.conf": config.mpi_conf(),
        "layers/etc/slurm/job_submit.lua": config.submit_filter(spec),
        "etc-login/resolv.conf": "nameserver 10.0.2.3\n",  # slirp4netns answers there
    }
    if template:
        layers["slurm/first-job-id.conf"] = "FirstJobId=1\n"
    layers["spec.json"] = msgspec.json.encode(spec).decode()
    layers["accounting-key"] = key + "\n"
    layers["packages"] = f"{prefix}\n"  # an isolated cluster on a node reads here which packages its /usr has
    folders = {f"nodes/{name}": (0, 0, 0o755) for name in (LOGIN, *spec.node_names)}
    return _plan(
        spec,
        folder=folder,
        prefix=prefix,
        expose=expose,
        writable=writable,
        network=cables(spec),
        texts=layers,
        # The agent starts an isolated cluster's nodes.
        service_texts=services.controller(spec) | ({} if spec.isolation else services.nodes(spec)) | network,
        node_texts=services.inside_nodes(spec),
        more_folders=folders,
        homes={who.home: f"home/{who.name}" for who in spec.identity.housed},
        munge_key=munge_key,
        template=template,
    )


def accounting_plan(
    spec: Spec,
    *,
    folder: Path,
    prefix: Path,
    expose: Sequence[Path],
    host_etc: Mapping[str, str],
    munge_key: str,
) -> Plan:
    """Return the plan of a cluster without nodes, in which the database is created."""
    kept = ("munged", "mariadb", "slurmdbd", "slurmctld")
    return _plan(
        spec,
        folder=folder,
        prefix=prefix,
        expose=expose,
        network=[
            ("", f"netns add {CONTROLLER}\n"),
            (CONTROLLER, f"link set lo up\naddress add {address(CONTROLLER)}/32 dev lo\n"),
        ],
        texts={
            "layers/etc/passwd": config.passwd(spec, host_etc["passwd"]),
            "layers/etc/group": config.group(spec, host_etc["group"]),
            "layers/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
            "layers/etc/hosts": config.hosts(spec),
            "layers/etc/slurm/slurm.conf": config.slurm_conf(spec),
            "layers/etc/slurm/gres.conf": config.gres_conf(spec),
            "layers/etc/slurm/cgroup.conf": config.cgroup_conf(spec),
            "layers/etc/slurm/job_submit.lua": config.submit_filter(spec),
            "slurm/first-job-id.conf": "FirstJobId=1\n",
            "accounting.txt": config.accounting_commands(spec),
        },
        service_texts={
            path: text for path, text in services.controller(spec).items() if path.split("/")[0] in kept
        },
        node_texts={},
        more_folders={},
        homes={},
        munge_key=munge_key,
    )


SYSTEM_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "resolv.conf": "",
}
LAYER = "layers/etc/"
OF_THE_HOST = ("spec.json", "accounting-key", "packages", "etc-login/resolv.conf")  # not needed inside


def agent_config(
    spec: Spec,
    *,
    venv: Path,
    shown: Sequence[Path],
    links: Mapping[str, str],
    prefix: Path | None,
    template: Path | None,
    munge_key: str,
    groups: Sequence[Path],
    learner_groups: Sequence[Path],
) -> AgentConfig:
    """Return the configuration of an isolated cluster's agent. Without ``template``: no nodes, to create the database."""
    if template:
        plan = cluster_plan(
            spec,
            folder=Path("/"),
            prefix=prefix or Path("/"),
            venv=venv,
            expose=(),
            writable=(),
            host_etc=SYSTEM_ETC,
            munge_key=munge_key,
            template=template,
            key="",
        )
    else:
        plan = accounting_plan(
            spec,
            folder=Path("/"),
            prefix=prefix or Path("/"),
            expose=(),
            host_etc=SYSTEM_ETC,
            munge_key=munge_key,
        )
    assert spec.isolation
    learner, [grader] = spec.identity.learner, spec.identity.accounts
    etc = {
        name.removeprefix(LAYER): text
        for name, (text, *_) in plan.tree.files.items()
        if name.startswith(LAYER) and not name.startswith(f"{LAYER}slurm/")
    }
    # Set-uid programs don't work there, so there are no subordinate ids: without entries Apptainer doesn't
    # ask for any.
    etc |= {name: "" for name in ("subuid", "subgid") if name in etc}
    files = {
        name: file
        for name, file in plan.tree.files.items()
        if name.removeprefix(LAYER) not in etc and name not in OF_THE_HOST
    }
    folders = {
        name: owner
        for name, owner in plan.tree.folders.items()
        if name.split("/")[0] not in ("home", "scratch")  # these are separate mounts
    }
    names = (LOGIN, *spec.node_names) if template else ()
    return AgentConfig(
        tree=Tree(folders=folders, files=files),
        etc=etc,
        prefix=str(prefix or ""),
        shown=[str(path) for path in shown],
        links=dict(links),
        database=plan.database,
        network=plan.network,
        nodes={name: f"{address(name)}/{NETWORK.prefixlen}" for name in names},
        hostname=plan.hostname,
        run_owners=plan.run_owners,
        command=plan.command,
        learner=(learner.uid, learner.gid),
        grader=(grader.uid, grader.gid),
        ours=[0, grader.uid, *(who.uid for who in spec.identity.daemons)],
        limits=spec.isolation,
        containers=spec.containers,
        by_root=spec.identity.by_root,
        groups=[str(path) for path in groups],
        learner_groups=[str(path) for path in learner_groups],
    )


def cables(spec: Spec) -> list[tuple[str, str]]:
    """Return batches for ip(8), each with its network namespace: one bridge, and a cable to every node."""
    names = (LOGIN, *spec.node_names)
    made = [f"netns add {name}" for name in (CONTROLLER, *names)]
    lines = [
        "link set lo up",
        "link add hpc0 type bridge",
        f"address add {address(CONTROLLER)}/{NETWORK.prefixlen} dev hpc0",
        "link set hpc0 up",
    ]
    for name in names:
        lines.append(f"link add {name} type veth peer name hsn0 netns {name}")
        lines.append(f"link set {name} master hpc0 up")
    return [("", "\n".join(made) + "\n"), (CONTROLLER, "\n".join(lines) + "\n")]


def _plan(
    spec: Spec,
    *,
    folder: Path,
    prefix: Path,
    expose: Sequence[Path],
    network: Sequence[tuple[str, str]],
    texts: Mapping[str, str],
    service_texts: Mapping[str, str],
    node_texts: Mapping[str, str],
    more_folders: Mapping[str, tuple[int, int, int]],
    homes: Mapping[str, str],
    munge_key: str,
    writable: Sequence[Path] = (),
    template: Path | None = None,
) -> Plan:
    uid = {who.name: who.uid for who in spec.identity.daemons}
    devices = {device for index in range(spec.nodes) for device in devices_of(spec, index)}
    slurm = uid["slurm"]
    files = {name: (text, 0, 0, 0o644) for name, text in texts.items()}
    files |= {
        f"gpu/{Path(device).name}": ("", 0, 0, 0o644)
        for device in devices
        if device.startswith("/run/hpclab/gpu/")
    }
    files["munge/munge.key"] = (munge_key, uid["munge"], uid["munge"], 0o600)
    files["layers/etc/slurm/slurmdbd.conf"] = (config.slurmdbd_conf(), slurm, slurm, 0o600)
    for program in PROGRAMS:
        files[f"bin/{program}"] = ((FILES / program).read_text(), 0, 0, 0o755)
    for below, scripts in {"services": service_texts, "nodes": node_texts}.items():
        for name, text in scripts.items():
            files[f"{below}/{name}"] = (text, 0, 0, 0o755 if name.endswith(("/run", "/check")) else 0o644)
    root = (0, 0, 0o755)
    folders = dict.fromkeys(
        ("layers", "layers/etc", "layers/etc/slurm", "bin", "services", "nodes", "spool", "home", "gpu"),
        root,
    )
    folders |= {
        "munge": (uid["munge"], uid["munge"], 0o700),
        "db": (uid["mysql"], uid["mysql"], 0o700),
        "state": (slurm, slurm, 0o700),
        "slurm": (slurm, slurm, 0o755),
        "pid": (slurm, slurm, 0o755),
        "log": (slurm, slurm, 0o755),
        "scratch": (0, 0, 0o755),
    }
    folders |= {f"home/{who.name}": (who.uid, who.gid, 0o700) for who in spec.identity.housed}
    folders |= {f"scratch/{who.name}": (who.uid, who.gid, 0o700) for who in spec.identity.people}
    folders |= more_folders
    return Plan(
        folder=str(folder),
        prefix=str(prefix),
        tree=Tree(folders=folders, files=files),
        homes=dict(homes),
        expose=[str(path) for path in expose],
        writable=[str(path) for path in writable],
        network=list(network),
        hostname=CONTROLLER,
        run_owners={"munge": uid["munge"], "mysqld": uid["mysql"], "netns": 0},
        command=["s6-svscan", "/run/hpclab/services"],
        database=str(template) if template else "",
        by_root=spec.identity.by_root,
    )
