"""The client of a running isolated cluster: start programs, kill a user's processes, measure what the learner uses."""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpclab.cluster.protocol import Kill, Look, Reply, Request, RunProgram, Watch
from hpclab.cluster.spec import CONTROLLER, LOGIN, Spec
from hpclab.errors import ClusterError, DeadlineExceeded
from hpclab.sandbox.cgroup import CgroupScope
from hpclab.sandbox.protocol import Connection

ANSWER = 30.0  # seconds that the agent may take to answer
REPLY_BYTES = 1 << 16
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Program:
    """A program that runs on a node."""

    def __init__(self, status: int) -> None:
        self._status = status
        self.code: int | None = None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the program has ended."""
        return self._status

    def wait(self, seconds: float) -> int | None:
        """Return the status as wait(2) gives it, or None if the program is still running after ``seconds``."""
        if self.code is None and select.select([self._status], [], [], max(0.0, seconds))[0]:
            said = os.read(self._status, 64)
            self.code = (
                int(said) if said.isdigit() else 9
            )  # no status: the program was killed with the whole cluster
            os.close(self._status)
        return self.code

    def close(self) -> None:
        """Stop listening for its end."""
        if self.code is None:
            os.close(self._status)


class IsolatedCluster:
    """The client of a running isolated cluster."""

    def __init__(
        self, spec: Spec, agent: subprocess.Popen[bytes], connection: Connection, scope: CgroupScope
    ) -> None:
        self.spec = spec
        self.scope = scope
        self._agent, self._connection = agent, connection
        self._guard = threading.Lock()

    @property
    def pid(self) -> int:
        """The agent's process id."""
        return self._agent.pid

    def run(
        self,
        who: str,
        argv: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        node: str = LOGIN,
        folder: str = "/",
        env: Mapping[str, str] = {},
    ) -> Program:
        """Start ``argv`` as "learner", "grader" or "root"; the caller closes its descriptors. Raises ClusterError."""
        accounts = {"learner": self.spec.identity.learner, "grader": self.spec.identity.accounts[0]}
        settings = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
        if account := accounts.get(who):
            settings |= {
                "HOME": account.home,
                "USER": account.name,
                "LOGNAME": account.name,
                "SHELL": account.shell,
            }
        request = RunProgram(who=who, node=node, folder=folder, argv=list(argv), env={**settings, **env})
        reader, writer = os.pipe()
        try:
            self._ask(request, (stdin, stdout, stderr, writer))
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return Program(reader)

    def as_root(self, *argv: str, seconds: float = 30.0) -> tuple[int, str]:
        """Run ``argv`` as root on the controller; returns exit status and output. Raises DeadlineExceeded."""
        with Path(os.devnull).open() as nothing, os.fdopen(os.memfd_create("said"), "rb") as said:
            program = self.run(
                "root",
                argv,
                node=CONTROLLER,
                stdin=nothing.fileno(),
                stdout=said.fileno(),
                stderr=said.fileno(),
            )
            status = program.wait(seconds)
            if status is None:
                raise DeadlineExceeded(f"no end after {seconds:g} s: {' '.join(argv)}")
            said.seek(0)
            return os.waitstatus_to_exitcode(status), said.read(1 << 20).decode(errors="replace")

    def logs(self) -> str:
        """Return the last lines of the daemons' logs."""
        return self.as_root("sh", "-c", "tail -n 6 /run/hpclab/log/*.log /run/hpclab/log/*.out")[1]

    def kill(self, who: str, node: str = "") -> Reply:
        """Kill all processes of "learner" or "grader" on one node or everywhere; returns what the learner still uses."""
        return self._ask(Kill(who=who, node=node))

    def use(self) -> Reply:
        return self._ask(Look())

    def watch(self, on: bool) -> Reply:
        """Start or stop killing the learner's processes when they exceed their limits."""
        return self._ask(Watch(on=on))

    def _ask(self, request: Request, handles: Sequence[int] = ()) -> Reply:
        with self._guard:
            try:
                self._connection.send(request, handles)
                reply: Reply = self._connection.receive(Reply, most_bytes=REPLY_BYTES)[0]
            except TimeoutError:
                raise DeadlineExceeded(
                    f"the isolated cluster's agent gave no answer within {ANSWER:g} s"
                ) from None
            except (OSError, EOFError):
                raise ClusterError(
                    "the isolated cluster has ended", "The machine may lack memory: see its kernel log."
                ) from None
        if reply.problem:
            raise ClusterError(f"the isolated cluster could not do it: {reply.problem}")
        return reply
