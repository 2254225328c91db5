"""Become the root of an isolated cluster and serve requests from the process that started it.

``isolated`` starts this program as ``python -m hpclab.cluster.agent FD LOCK``, with a connection at FD and the
lock of its id range at LOCK. Its first message is an AgentConfig. It enters its own namespaces, builds the
cluster's root directory, starts process 1 and the nodes, and then answers requests: run a program on a node, kill
all processes of a user, report what the learner uses. Each request runs in a fork, which takes a tenth of the
time that starting a program does. The agent has no rights outside the cluster.

When the socket closes, the agent kills process 1, and the kernel kills the rest. When the agent itself is killed,
process 1 dies with it. The whole cluster is in memory, so nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hpclab.cluster import boot, populate
from hpclab.cluster.protocol import (
    MAPPED,
    MOUNTS,
    STARTED,
    UNSHARED,
    AgentConfig,
    Kill,
    Reply,
    Request,
    RunProgram,
    Watch,
)
from hpclab.sandbox import kernel, limits, rootfs, seccomp, usage
from hpclab.sandbox.protocol import Connection
from hpclab.sandbox.termination import Termination
from hpclab.sandbox.usage import SandboxUsage

LEARNERS = Path("/home/learner")  # as in identity
EVERY = 0.25  # seconds between two measurements of what the learner uses
SELDOM = 1.0  # the same, where the kernel itself enforces the memory limit
# A shell that reaches the limit of processes retries for a while, so it may stay there this many seconds.
PATIENCE = 2.0
KINDS = ("mnt", "uts", "ipc", "net", "pid")  # the namespaces of a node


def main() -> None:
    client = Connection(socket.socket(fileno=int(sys.argv[1])))
    client.socket.set_inheritable(False)  # inherited to get here; no program of the learner may have it
    config: AgentConfig = client.receive(AgentConfig)[0]
    os.set_inheritable(int(sys.argv[2]), False)  # the lock of the id range, held until this process ends
    os.setsid()
    kernel.die_with_parent()
    os.chdir("/")
    os.umask(0o022)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    rules = seccomp.program(containers=config.containers)
    # Opened with the rights of the user who starts the cluster; the kernel checks those when it is written
    # to.
    groups = [os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in config.learner_groups]
    for path in config.groups:
        Path(path).write_text("0")
    devices = boot.private_devices() if config.by_root and config.containers else {}
    kernel.unshare(
        kernel.NEWUSER
        | kernel.NEWNS
        | kernel.NEWPID
        | kernel.NEWUTS
        | kernel.NEWIPC
        | kernel.NEWCGROUP
        | kernel.NEWNET
    )
    client.send(UNSHARED)
    if client.receive(str)[0] != MAPPED:
        sys.exit(1)  # the client has given up
    agent = Agent(config, client, rules, groups)
    agent.start(devices)
    client.send(STARTED)
    agent.serve()


class Agent:
    """State and request handlers of the agent."""

    def __init__(self, config: AgentConfig, client: Connection, rules: bytes, groups: list[int]) -> None:
        self._config, self._client, self._rules, self._groups = config, client, rules, groups
        self._first = 0
        self._nodes: dict[str, dict[str, int]] = {}  # node -> kind of namespace -> handle
        self._watching = False
        self._limit: Termination | None = None
        self._crowded_since = 0.0  # 0: below the process limit

    def start(self, devices: dict[str, str]) -> None:
        """Populate the root directory, then start process 1 and the nodes."""
        config = self._config
        # Opened with the rights of the user who starts the cluster, used as the cluster's root.
        handles = {path: kernel.handle(path) for path in [*config.shown, config.prefix] if path}
        database = os.open(config.database, os.O_RDONLY | os.O_CLOEXEC) if config.database else None
        fuse = devices.get("/dev/fuse", "/dev/fuse")
        more = {"fuse": kernel.handle(fuse)} if config.containers and Path(fuse).exists() else {}
        kernel.become(0, 0)
        kernel.die_with_parent()
        kernel.dumpable()
        kernel.make_mounts_private()
        populate.root_directory(config, handles, more)
        reader, writer = os.pipe()  # closed by exec when process 1 becomes the supervisor
        waiting, go = os.pipe()
        self._first = os.fork()
        if not self._first:
            os.close(go)
            _do(writer, lambda: _first(config, database, waiting))
        os.write(go, b"go")
        for end in (writer, waiting, go):
            os.close(end)
        with os.fdopen(reader) as news:
            if complaint := news.read():
                sys.exit(complaint)
        for handle in [*handles.values(), *more.values()]:
            kernel.close_handle(handle)
        if database is not None:
            os.close(database)
        for name in config.nodes:
            self._nodes[name] = self._start_node(name)

    def _start_node(self, name: str) -> dict[str, int]:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            _do(
                writer,
                lambda: os.write(
                    writer, b"%d" % populate.start_node(self._config, name, self._groups, self._rules)
                ),
            )
        os.close(writer)
        with os.fdopen(reader) as news:
            said = news.read()
        os.waitpid(child, 0)
        if not said.isdigit():
            sys.exit(f"node {name}: {said}")
        # Opened now, because after a node's death the kernel may give its process id to a process of the
        # learner.
        return {kind: os.open(f"/proc/{said}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in KINDS}

    def serve(self) -> None:
        """Answer requests until the client closes the connection or process 1 ends; then kill the cluster."""
        first = os.pidfd_open(self._first)
        while True:
            pause = (SELDOM if self._groups else EVERY) if self._watching else None
            ready, _, _ = select.select([self._client.fileno(), first], [], [], pause)
            self._reap()
            if first in ready:
                break
            if self._watching:
                self._look_after()
            if self._client.fileno() in ready:
                try:
                    request, handles = self._client.receive(Request)
                except EOFError:
                    break
                try:
                    answer = self._answer(request, handles)
                except OSError as problem:
                    answer = Reply(problem=str(problem))
                finally:
                    for handle in handles:
                        os.close(handle)
                self._client.send(answer)
        os.kill(self._first, signal.SIGKILL)
        # Process 1 ends only after every process in its namespace has ended. Reap our own children, too.
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)

    def _reap(self) -> None:
        """Reap children that have ended, except process 1."""
        while True:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid == self._first:
                return
            os.waitpid(found.si_pid, 0)

    def _answer(self, request: Request, handles: list[int]) -> Reply:
        match request:
            case RunProgram():
                self._run(request, handles)
            case Kill():
                self._kill(request.who, request.node)
            case Watch():
                self._watching, self._crowded_since = request.on, 0.0
                if request.on:
                    self._limit = None  # a limit hit before this program started doesn't count
        if isinstance(request, RunProgram):
            return Reply()
        used = self._usage()
        return Reply(tasks=used.tasks, memory_bytes=used.memory_bytes, limit=self._limit)

    def _usage(self) -> SandboxUsage:
        mounts = [Path(MOUNTS, name) for name in ("shared", "spool", *self._config.nodes)]
        most = self._config.limits.memory_mib * limits.MIB
        return usage.measure(enough_bytes=most, trusted=self._config.ours, folders=mounts)

    def _look_after(self) -> None:
        used, most, now = self._usage(), self._config.limits, time.monotonic()
        crowded = used.tasks >= most.processes - 1
        self._crowded_since = (self._crowded_since or now) if crowded else 0.0
        if limits.exceeded(most, used) == Termination.MEMORY:
            self._limit = Termination.MEMORY
        elif crowded and now - self._crowded_since >= PATIENCE:
            self._limit = Termination.PROCESSES
        else:
            return
        self._kill("learner", "")

    def _kill(self, who: str, node: str) -> None:
        """Send SIGKILL to all processes of a user at once, so that none can escape by forking."""
        uid, gid = self._config.learner if who == "learner" else self._config.grader

        def kill() -> None:
            kernel.become(uid, gid)
            with contextlib.suppress(ProcessLookupError):  # no process left
                os.kill(-1, signal.SIGKILL)

        def enter() -> None:
            if node:
                self._enter(node, ("pid",))
            _wait(_fork(kill))

        _wait(_fork(enter))

    def _run(self, request: RunProgram, handles: list[int]) -> None:
        config, (stdin, stdout, stderr, status) = self._config, handles

        def program() -> None:
            os.setsid()
            for number, handle in enumerate((stdin, stdout, stderr)):
                os.dup2(handle, number)
            populate.usual_signals()
            if request.who == "learner":
                populate.confine(config, self._groups, self._rules)
                kernel.become(*config.learner)
            elif request.who == "grader":
                # The grader reads untrusted files, so it runs with minimal rights and memory.
                populate.bound_memory()
                kernel.become(*config.grader, [kernel.CAP_DAC_READ_SEARCH])
                seccomp.no_new_privileges()
                seccomp.apply(self._rules)
            if request.who == "grader" and Path(request.folder).is_relative_to(LEARNERS):
                # The learner owns these files: a symbolic link there must not lead the grader elsewhere.
                below = Path(request.folder).relative_to(LEARNERS)
                os.fchdir(rootfs.real_folder(LEARNERS, below, Path(request.env["HOME"])))
            else:
                os.chdir(request.folder)
            os.execvpe(request.argv[0], request.argv, request.env)

        def start() -> None:
            if request.who == "root":
                self._enter_network(request.node)
            else:
                self._enter(request.node, KINDS)
            os.write(status, b"%d" % _wait(_fork(program, complain_to=stderr)))

        _fork(start)

    def _enter(self, node: str, kinds: tuple[str, ...]) -> None:
        for kind in kinds:
            kernel.setns(self._nodes[node][kind])

    def _enter_network(self, name: str) -> None:
        with Path("/run/netns", name).open() as network:
            kernel.setns(network.fileno())


def _first(config: AgentConfig, database: int | None, waiting: int) -> None:
    kernel.die_with_parent()
    if os.read(waiting, 2) == b"go":  # otherwise the agent died before die_with_parent took effect
        populate.process_1(config, database)


def _do(news: int, work: Callable[[], object]) -> None:
    """Do ``work`` in a fork, write any error to ``news``, and exit."""
    try:
        work()
        os._exit(0)
    except BaseException as problem:
        os.write(news, f"{type(problem).__name__}: {problem}".encode())
    os._exit(1)


def _fork(work: Callable[[], None], *, complain_to: int = 2) -> int:
    pid = os.fork()
    if pid:
        return pid
    kernel.die_with_parent()
    _do(complain_to, work)
    raise AssertionError


def _wait(pid: int) -> int:
    return os.waitpid(pid, 0)[1]


if __name__ == "__main__":
    main()
