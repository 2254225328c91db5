"""Start, inspect, stop and remove a cluster."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hpclab import layout, locks
from hpclab.cluster import accounting, cgroups, entry, identity, namespace, process, recovery
from hpclab.cluster.plan import cluster_plan
from hpclab.cluster.spec import LOGIN, Spec, check, check_name
from hpclab.errors import ClusterError, DeadlineExceeded, HpclabError, UsageError
from hpclab.shell import indented, run, tail

Progress = Callable[[str], None]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the host that a cluster shows: packages, the course's Python, visible folders."""

    prefix: Path
    venv: Path
    expose: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()  # writable for the learner even where the host is read-only


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The output of ``status``. ``nodes`` maps a node to the state that Slurm reports."""

    spec: Spec
    pid: int
    services: dict[str, str]
    nodes: dict[str, str]
    jobs: dict[str, int]
    lost_jobs: tuple[recovery.LostJob, ...]


def names() -> list[str]:
    """Return the names of this user's clusters, running or not."""
    clusters = layout.state_home() / "clusters"
    return sorted(path.name for path in clusters.glob("[a-z0-9]*") if path.is_dir())


def running(name: str) -> process.Supervisor | None:
    return process.running(layout.cluster_folder(check_name(name)))


def spec_of(name: str) -> Spec:
    """Return the spec with which cluster ``name`` was started. Raises ClusterError."""
    path = layout.cluster_folder(check_name(name)) / "spec.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Spec)
    except (OSError, msgspec.MsgspecError):
        raise ClusterError(
            f"there is no cluster {name!r}",
            f"Start it: hpclab up --name {name}. You have: {', '.join(names()) or 'none'}.",
        ) from None


def supervisor_of(name: str) -> process.Supervisor:
    """Return process 1 of the running cluster. Raises ClusterError."""
    found = running(name)
    if found is None:
        raise ClusterError(f"cluster {name!r} is not running", f"Start it: hpclab up --name {name}")
    return found


def alone(name: str) -> contextlib.AbstractContextManager[int]:
    """Hold the cluster's lock: only one ``up`` or ``down`` at a time."""
    clusters = layout.state_home() / "clusters"
    try:
        clusters.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise HpclabError(
            f"{clusters}: {problem.strerror}",
            "Clusters need a folder to write to; choose one with HPCLAB_STATE=FOLDER.",
        ) from None
    return locks.held(_lock(name), f"another `up` or `down` of cluster {name!r} to finish", seconds=60)


def _lock(name: str) -> Path:
    return layout.state_home() / "clusters" / f".{name}.lock"


def up(spec: Spec, place: Place, progress: Progress, *, retain: bool = False, seconds: float = 60) -> bool:
    """Start the cluster if it isn't running; returns whether it was started now.

    On failure everything started is stopped again, unless ``retain``; logs stay. Raises HpclabError.
    """
    check(spec)
    with alone(spec.name):
        folder = layout.cluster_folder(spec.name)
        if supervisor := process.running(folder):
            try:
                wait_ready(spec_of(spec.name), supervisor, seconds)
                return False
            except HpclabError:
                if process.running(folder):
                    raise
            # The supervisor was about to end, because an earlier `up` was killed. Start the cluster.
        _same_accounting(spec, place, folder)
        folder.mkdir(mode=0o755, exist_ok=True)
        new = not (folder / "database-complete").exists()  # written after unpacking: see boot
        host_etc = {name: _text(Path("/etc", name)) for name in ("passwd", "group", "resolv.conf")}
        template = accounting.ensure_template(
            spec,
            cache=layout.cache_home(),
            prefix=place.prefix,
            expose=place.expose,
            host_etc=host_etc,
            munge_key=secrets.token_hex(64),
            progress=progress,
        )
        plan = cluster_plan(
            spec,
            folder=folder,
            prefix=place.prefix,
            venv=place.venv,
            expose=place.expose,
            writable=place.writable,
            host_etc=host_etc,
            munge_key=secrets.token_hex(64),
            template=template if new else None,
            key=accounting.key(spec, place.prefix),
        )
        progress("starting the machines")
        try:
            cgroups.create(spec)
            namespace.start(
                plan,
                spec.identity,
                enter=functools.partial(cgroups.enter, spec),
                delegate=functools.partial(cgroups.delegate, spec),
            )
            supervisor = process.running(folder)
            if supervisor is None:
                raise ClusterError(f"the cluster's process 1 ended at once; see {folder}/log")
            wait_ready(spec, supervisor, seconds, progress)
        except BaseException:
            if not retain:
                _stop(spec.name, folder, spec)
                if new:
                    _forget_state(spec, folder)
            raise
        return True


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _same_accounting(spec: Spec, place: Place, folder: Path) -> None:
    try:
        kept = (folder / "accounting-key").read_text().strip()
    except OSError:
        return
    if kept != accounting.key(spec, place.prefix):
        raise ClusterError(
            f"cluster {spec.name!r} keeps the jobs and accounts of an earlier start with another site or other packages",
            f"Take another --name, or forget the earlier one first: hpclab down --name {spec.name} --purge",
        )


def wait_ready(
    spec: Spec, supervisor: process.Supervisor, seconds: float, progress: Progress = lambda _: None
) -> None:
    """Wait until all nodes are ready for jobs. Raises DeadlineExceeded with the end of the relevant log."""
    progress("waiting for the nodes")
    patience = str(int(seconds * 1000))
    log = layout.cluster_folder(spec.name) / "log"
    for awaited, where, argv in (
        # In the supervisor's network: after an `up` that was killed, the controller's may not exist yet.
        ("the controller", entry.into_supervisor, ["await", "-U", patience, "slurmctld"]),
        (f"{spec.nodes} nodes", entry.into_controller, ["await-nodes", str(spec.nodes), patience]),
    ):
        inside = where(supervisor.pid, f"/run/hpclab/bin/{argv[0]}", *argv[1:])
        done = run(inside, timeout=seconds + 5, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise DeadlineExceeded(
                f"{awaited} did not become ready within {seconds:g} s{': ' + said if said else ''}"
                + indented("\n".join(tail(log / name, 6) for name in _suspects(awaited, log)))
            )


def _suspects(awaited: str, log: Path) -> Sequence[str]:
    if awaited != "the controller":
        return ("slurmctld.log", "nid001.log")
    chain = ("mariadb.out", "slurmdbd.out", "slurmctld.out")
    return tuple(name for name in chain if (log / name).exists())


def status(name: str) -> Status:
    """Return what runs, as reported by Slurm and the supervisor. Raises ClusterError."""
    spec, supervisor = spec_of(name), supervisor_of(name)
    report = entry.as_controller(supervisor.pid, "/run/hpclab/bin/report", timeout=30, check=False).stdout
    parts: dict[str, list[list[str]]] = {"service": [], "node": [], "jobs": []}
    for line in report.splitlines():
        kind, *fields = line.split()
        if kind in parts and len(fields) == 2:
            parts[kind].append(fields)
    return Status(
        spec=spec,
        pid=supervisor.pid,
        services=dict(map(tuple, parts["service"])),  # type: ignore[arg-type]
        nodes=dict(map(tuple, parts["node"])),  # type: ignore[arg-type]
        jobs={state: int(count) for state, count in parts["jobs"]},
        lost_jobs=recovery.lost(layout.cluster_folder(name)),
    )


def down(name: str, progress: Progress, *, force: bool = False, purge: bool = False) -> bool:
    """Stop the cluster; returns whether it was running. ``force`` stops it with jobs in the queue.

    Its folder (jobs, accounts, homes, logs) stays for the next ``up``, unless ``purge``.
    Raises ClusterError when jobs are in the queue and ``force`` is not given.
    """
    check_name(name)
    with alone(name):
        folder = layout.cluster_folder(name)
        supervisor = process.running(folder)
        if supervisor:
            if not force:
                _refuse_with_jobs(name, supervisor)
            progress("stopping the machines")
            if not purge:  # no need to save what is removed anyway
                entry.as_controller(supervisor.pid, "/run/hpclab/bin/halt", timeout=30, check=False)
        _stop(name, folder, _known(name))
        if purge and folder.is_dir():
            progress("forgetting the cluster: removing its folder")
            namespace.remove_folder(_owner(name), folder)
        if purge:
            _lock(name).unlink(missing_ok=True)
        return supervisor is not None


def jobs_in_queue(name: str) -> int:
    """Return the number of waiting and running jobs; 0 where Slurm doesn't answer."""
    supervisor = supervisor_of(name)
    queue = entry.as_controller(supervisor.pid, "timeout", "5", "squeue", "-h", "-r", "-o", "%i", check=False)
    return len(queue.stdout.split()) if queue.returncode == 0 else 0


def _refuse_with_jobs(name: str, supervisor: process.Supervisor) -> None:
    """Raise ClusterError when jobs are in the queue, or Slurm doesn't answer."""
    ready = entry.as_controller(
        supervisor.pid, "s6-svstat", "-o", "ready", "/run/hpclab/services/slurmctld", check=False
    )
    if ready.stdout.strip() != "true":
        raise ClusterError(
            f"the controller of cluster {name!r} does not run, so nobody knows which jobs are in the queue",
            f"Bring it back (hpclab fault heal --all), or stop all the same: hpclab down --name {name} --force",
        )
    queue = entry.as_controller(supervisor.pid, "squeue", "-h", "-r", "-o", "%i", timeout=15, check=False)
    if active := len(queue.stdout.split()):
        raise ClusterError(
            f"{active} job{'s are' if active > 1 else ' is'} still in the queue of cluster {name!r}",
            f"Cancel them and stop: hpclab down --name {name} --force",
        )


def _known(name: str) -> Spec | None:
    """Return the cluster's spec; None if an `up` was killed before it wrote one."""
    try:
        return spec_of(name)
    except ClusterError:
        return None


def _owner(name: str) -> identity.Identity:
    """Return the identity that owns the cluster's files."""
    if spec := _known(name):
        return spec.identity
    return identity.of_this_process(cgroup=cgroups.version(by_root=os.geteuid() == 0))


def _stop(name: str, folder: Path, spec: Spec | None) -> None:
    """Kill what is left of the cluster and remove its cgroups."""
    if supervisor := process.running(folder):
        process.kill(supervisor)
    cgroups.remove(name, folder, spec)


def _forget_state(spec: Spec, folder: Path) -> None:
    """After a failed first start, remove all but the logs, so that the next start is a first one."""
    with contextlib.suppress(HpclabError):
        namespace.as_root_of(
            spec.identity, ["rm", "-rf", "--", "db", "state", "accounting-key", "database-complete"], folder
        )


def command(
    name: str, node: str, user: str, folder: str, argv: Sequence[str], env: Sequence[str] = ()
) -> list[str]:
    """Return the command line that runs ``argv`` on ``node`` as ``user``. Raises ClusterError, UsageError."""
    spec, supervisor = spec_of(name), supervisor_of(name)
    people = {who.name: who for who in spec.identity.people}
    if user and user not in people:
        raise UsageError(
            f"there is no account {user!r} on the cluster",
            f"Valid: {spec.identity.learner.name}, instructor, student1 … student40.",
        )
    valid = (LOGIN, *spec.node_names)
    if node not in valid:
        raise UsageError(f"there is no node {node!r}", f"Valid: login, {spec.node_range}.")
    return entry.into_node(supervisor.pid, node, people.get(user, spec.identity.learner), folder, argv, env)
