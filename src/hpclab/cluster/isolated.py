"""A cluster for untrusted code that ends with the process that started it.

It runs the same Slurm as other clusters, with these differences: its root directory shows only listed folders;
every account, including the learner, is a sub-id; it has no network but its own; the learner's processes, memory,
disk and jobs are limited; a second account, ``grader``, reads the files after the learner is stopped. All of it
is in memory.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from hpclab import locks
from hpclab.cluster import accounting, namespace
from hpclab.cluster.client import ANSWER, IsolatedCluster
from hpclab.cluster.plan import agent_config
from hpclab.cluster.protocol import MAPPED, STARTED, UNSHARED, AgentConfig
from hpclab.cluster.spec import CONTROLLER, Spec, check
from hpclab.errors import ClusterError, DeadlineExceeded, HostUnsuitable
from hpclab.sandbox import cgroup, ids
from hpclab.sandbox.cgroup import CgroupScope
from hpclab.sandbox.protocol import Connection, pair
from hpclab.shell import indented

Progress = Callable[[str], None]


def module(name: str) -> list[str]:
    """Return the command that runs a module of this package, as imported here, ignoring the current folder."""
    source = str(Path(__file__).resolve().parents[2])
    code = (
        f"import sys, runpy; sys.path.insert(0, {source!r}); "
        f"runpy.run_module({name!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-I", "-c", code]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the host that an isolated cluster shows and is built from.

    ``prefix`` has the packages, None where /usr already includes them (on a node of another cluster);
    ``packages`` names them. ``caches`` are folders that may hold the empty database; the first one is writable.
    """

    venv: Path
    folders: tuple[Path, ...]
    links: Mapping[str, str]
    prefix: Path | None
    packages: str
    caches: tuple[Path, ...]


@contextmanager
def start(
    spec: Spec, shown: Shown, progress: Progress = lambda _: None, *, id_lock: int, seconds: float = 60.0
) -> Iterator[IsolatedCluster]:
    """Start an isolated cluster. Programs can start on its nodes at once; jobs need ``wait_ready`` first.

    It ends with the context, or when the thread that entered the context dies. ``id_lock`` is the lock of the id
    range in ``spec.identity``. The agent holds it as well, so it is held longer than any process of the cluster
    lives. Raises HpclabError.
    """
    check(spec)
    template = ensure_template(spec, shown, progress, id_lock)
    with (
        scope_of(spec) as scope,
        _started_agent(spec, shown, scope, template, id_lock, seconds) as cluster,
    ):
        yield cluster


def scope_of(spec: Spec) -> AbstractContextManager[CgroupScope]:
    """Return a context that creates the control groups around the cluster. Raises ClusterError."""
    assert spec.isolation
    top = Path(spec.host.cgroup_top) if spec.host.cgroup_top else None
    return cgroup.scope(spec.host.cgroup, top, spec.isolation)


def ensure_template(spec: Spec, shown: Shown, progress: Progress, id_lock: int) -> Path:
    """Return the database that isolated clusters start from; makes it if no cache has it."""
    name = f"{accounting.key_of(spec, shown.packages)}.tar"
    for cache in shown.caches:
        if os.access(found := cache / "accounting" / name, os.R_OK):
            return found
    archive = shown.caches[0] / "accounting" / name
    archive.parent.mkdir(parents=True, exist_ok=True)
    what = "another process that makes the accounting database"
    with locks.held(archive.parent / "lock", what, seconds=120):
        if not archive.is_file():
            for left in archive.parent.glob(f".{name}.*"):  # left by a process that was killed
                left.unlink()
            progress("creating the accounting database (once)")
            with (
                scope_of(spec) as scope,
                _started_agent(spec, shown, scope, None, id_lock, 120) as cluster,
            ):
                _make_database(cluster, archive)
    return archive


def _make_database(cluster: IsolatedCluster, archive: Path) -> None:
    """Create the database and write it to ``archive`` atomically: to a temporary file, flushed, renamed."""
    status, said = cluster.as_root("/run/hpclab/bin/make-database", seconds=120)
    if status:
        raise ClusterError(
            f"the accounting database could not be made: {said.strip()}{indented(cluster.logs())}"
        )
    aside = archive.with_name(f".{archive.name}.{secrets.token_hex(4)}")
    pack = ["tar", "-C", "/run/hpclab", "--sparse", "--exclude=ibtmp1", "-cf", "-", "db"]
    try:
        with aside.open("xb") as out, Path(os.devnull).open("r+b") as nothing:
            none = nothing.fileno()
            packing = cluster.run("root", pack, node=CONTROLLER, stdin=none, stdout=out.fileno(), stderr=none)
            if packing.wait(60) != 0:
                raise ClusterError("the accounting database could not be packed")
            os.fsync(out.fileno())
        aside.replace(archive)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _started_agent(
    spec: Spec, shown: Shown, scope: CgroupScope, template: Path | None, id_lock: int, seconds: float
) -> Iterator[IsolatedCluster]:
    config = agent_config(
        spec,
        venv=shown.venv,
        shown=shown.folders,
        links=shown.links,
        prefix=shown.prefix,
        template=template,
        munge_key=secrets.token_hex(64),
        groups=scope.all,
        learner_groups=scope.learner,
    )
    connection, theirs = pair()
    connection.socket.settimeout(seconds)
    complaints = os.memfd_create("complaints")
    with contextlib.closing(connection):
        agent = subprocess.Popen(
            [*module("hpclab.cluster.agent"), str(theirs.fileno()), str(id_lock)],
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            pass_fds=[theirs.fileno(), id_lock],
        )
        theirs.close()
        try:
            _handshake(spec, config, agent, connection, complaints)
            connection.socket.settimeout(ANSWER)
            yield IsolatedCluster(spec, agent, connection, scope)
        finally:
            connection.close()  # the agent then ends the cluster
            try:
                agent.wait(timeout=ANSWER)
            except subprocess.TimeoutExpired:
                agent.kill()  # process 1 dies with it
                agent.wait(timeout=ANSWER)
            os.close(complaints)


def _handshake(
    spec: Spec, config: AgentConfig, agent: subprocess.Popen[bytes], connection: Connection, complaints: int
) -> None:
    unshared = False

    def said() -> str:
        agent.wait(timeout=ANSWER)
        return os.pread(complaints, 1 << 16, 0).decode(errors="replace").strip()

    try:
        connection.send(config)
        if connection.receive(str)[0] != UNSHARED:
            raise EOFError
        unshared = True
        ids.write_maps(agent.pid, spec.identity.maps)
        connection.send(MAPPED)
        if connection.receive(str)[0] != STARTED:
            raise EOFError
    except EOFError:
        complaint = said()
        if not unshared and "unshare" in complaint:
            raise HostUnsuitable(complaint.splitlines()[-1], namespace.NO_NAMESPACES) from None
        raise ClusterError(f"the isolated cluster did not start: {indented(complaint)}") from None
    except TimeoutError:
        raise DeadlineExceeded(
            f"the isolated cluster did not start within {connection.socket.gettimeout():g} s"
        ) from None
    except OSError as problem:
        raise ClusterError(f"the isolated cluster's agent ended: {problem}{indented(said())}") from None


def wait_ready(cluster: IsolatedCluster, seconds: float) -> None:
    """Wait until all nodes are ready for jobs. Raises DeadlineExceeded with the end of the relevant log."""
    patience = str(int(seconds * 1000))
    for what, argv in (
        ("the controller", ("await", "-U", patience, "slurmctld")),
        (f"{cluster.spec.nodes} nodes", ("await-nodes", str(cluster.spec.nodes), patience)),
    ):
        status, said = cluster.as_root(f"/run/hpclab/bin/{argv[0]}", *argv[1:], seconds=seconds + 5)
        if status:
            raise DeadlineExceeded(
                f"{what} of an isolated cluster did not become ready within {seconds:g} s: {said.strip()}"
                f"{indented(cluster.logs())}"
            )
