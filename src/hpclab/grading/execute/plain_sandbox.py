"""A sandbox for one submission without a cluster: a fork of the forkserver.

``with PlainSandboxes() as sandboxes:`` starts the forkserver once; ``with sandboxes.enter(lab, limits) as
sandbox:`` gives each submission its own sandbox. This side is outside, trusted, and measures the time. It limits
how much it reads from the sandbox, and ends whatever takes too long.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Self

import msgspec

import hpclab
from hpclab.errors import CommandFailed, GradingError, HostUnsuitable
from hpclab.grading.execute import protocol
from hpclab.grading.execute.interface import Answer, Ended, Sandbox
from hpclab.grading.execute.processes import Report
from hpclab.grading.model import Lab, Limits
from hpclab.sandbox import cgroup, ids
from hpclab.sandbox.cgroup import Group
from hpclab.sandbox.limits import MIB, SLACK_MIB, THREADS, IsolationLimits
from hpclab.sandbox.pipes import PipeSession
from hpclab.sandbox.protocol import Connection, pair
from hpclab.sandbox.termination import Termination
from hpclab.shell import wait_until

START_SECONDS = 60.0
ANSWER_SECONDS = 30.0  # for requests that take a moment when nothing is wrong
GRACE_SECONDS = 1.0  # the runner ends by itself at its time limit, and reports the cell
CREDENTIALS = struct.Struct("iII")
ETC = {
    "passwd": "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
    f"learner:x:{ids.LEARNER}:{ids.LEARNER}:learner:/home/learner:/bin/bash\n"
    f"grader:x:{ids.GRADER}:{ids.GRADER}:grader:/nonexistent:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": f"root:x:0:\nlearner:x:{ids.LEARNER}:\ngrader:x:{ids.GRADER}:\nnogroup:x:65534:\n",
    "hostname": "sandbox\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
}
NO_NAMESPACES = (
    "Untrusted programs run in namespaces of their own only. `hpclab doctor` says which of this machine's"
    " settings forbids them, and who can change it."
)


class PlainSandboxes:
    """The forkserver, and the sandboxes that it starts, one submission after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: list[Group] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            uid = os.geteuid()
            allocation = stack.enter_context(ids.allocated()) if ids.available(uid) else None
            self.ids = ids.plain_maps(allocation, uid, os.getegid())
            if self.ids.separate:
                readable_by_others(shown())
            cgroup.sweep(cgroup.plain_parents())
            stack.callback(self._wait_until_removed)
            self._complaints = os.memfd_create("complaints", os.MFD_CLOEXEC)
            stack.callback(os.close, self._complaints)
            try:
                self._start(stack, allocation)
            except (OSError, CommandFailed) as problem:
                raise HostUnsuitable(f"no sandbox could be made: {problem}", NO_NAMESPACES) from None
            self._leave = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the forkserver; the kernel ends every process in every sandbox with it."""
        self._leave.close()

    def _start(self, stack: contextlib.ExitStack, allocation: ids.Allocation | None) -> None:
        self._connection, theirs = pair()
        self._connection.socket.settimeout(START_SECONDS)
        stack.callback(self._connection.close)
        lock = allocation.lock if allocation else None
        with contextlib.closing(theirs):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "hpclab.grading.execute.forkserver"],
                stdin=theirs.fileno(),
                stdout=self._complaints,
                stderr=self._complaints,
                # The forkserver and its forks hold the lock of the id range, too: no sandbox outlives the
                # lock.
                pass_fds=[] if lock is None else [lock],
                # A fork has its parent's memory, which includes the environment that the parent was started
                # with.
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            )
        stack.callback(self._kill)
        plan = {
            "shown": [str(path) for path in shown()],
            "etc": ETC,
            "owner": self.ids.owner,
            "id_lock": lock,
        }
        self._connection.send(plan)
        self._hear()
        ids.write_maps(self._process.pid, self.ids)
        self._connection.send({"mapped": True})
        self._hear()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait(timeout=ANSWER_SECONDS)

    def _wait_until_removed(self) -> None:
        what = "the control groups of sandboxes to be empty"
        wait_until(self._tidy, what, seconds=ANSWER_SECONDS, every=0.01)

    def _hear(self) -> None:
        try:
            self._connection.receive()
        except (EOFError, TimeoutError):
            raise HostUnsuitable(f"no sandbox could be made: {self._said()}", NO_NAMESPACES) from None

    def _said(self) -> str:
        """Return the last error message of the forkserver or a sandbox init."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        size = os.fstat(self._complaints).st_size
        text = os.pread(self._complaints, 1000, max(0, size - 1000)).decode(errors="replace").strip()
        return text or "no message"

    @contextlib.contextmanager
    def enter(self, lab: Lab, bounds: Limits) -> Iterator[Sandbox]:
        """Create a sandbox for one submission of ``lab``; matches ``interface.Enter``."""
        with self.start_sandbox(PurePosixPath(lab.module, lab.name), bounds) as client:
            yield PlainSandbox(self, client, PurePosixPath(lab.module, lab.name))

    @contextlib.contextmanager
    def start_sandbox(self, folder: PurePosixPath, bounds: Limits) -> Iterator[SandboxClient]:
        mine, theirs = pair()
        mine.socket.settimeout(ANSWER_SECONDS)
        mine.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        plan = {"folder": str(folder), "limits": msgspec.to_builtins(bounds), "owner": self.ids.owner}
        group: Group | None = None
        try:
            with self._lock:
                self._connection.send(plan, [theirs.fileno()])
            theirs.close()
            pid = _sender(mine.socket)
            mine.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
            group = _grouped(pid, bounds)
            mine.send({"go": True})
            client = SandboxClient(mine, group)
            client.expect("ready")
            yield client
        except (EOFError, TimeoutError):
            raise GradingError(f"a sandbox ended unasked: {self._said()}") from None
        finally:
            mine.close()
            self._tidy(group)

    def _tidy(self, ended: Group | None = None) -> bool:
        """Remove the groups of sandboxes that have ended; the kernel takes a moment to end them."""
        with self._lock:
            self._groups += [ended] if ended else []
            self._groups = [group for group in self._groups if not group.remove()]
            return not self._groups


class SandboxClient:
    """The connection to one sandbox init."""

    def __init__(self, end: Connection, group: Group | None) -> None:
        self.connection, self.group = end, group

    def expect(self, what: str) -> Any:
        """Receive the next message, which must be ``what``."""
        message, _ = self.connection.receive()
        if what not in message:
            raise GradingError(f"a sandbox failed: {str(message.get('trouble', message)).strip()[-800:]}")
        return message[what]

    def _report(self) -> Report:
        return msgspec.convert(self.expect("ended"), Report)

    def put(self, files: Mapping[str, bytes]) -> None:
        self.connection.send({"put": dict(files)})
        self.expect("put")

    def run(
        self, what: str, request: bytes, line: Callable[[bytes], bytes | None], seconds: float, most: int
    ) -> tuple[Ended, int]:
        """Run ``what`` ("cells" or "tests"); returns how it ended, and how many processes it left."""
        out, errors, answers = os.pipe(), os.pipe(), os.pipe() if what == "tests" else None
        given = [*([answers[0]] if answers else []), out[1], errors[1]]
        began = time.monotonic()
        session = PipeSession(
            ended=self.connection.fileno(),
            stdin=answers[1] if answers else None,
            stdout=out[0],
            stderr=errors[0],
        )
        try:
            self.connection.send({what: request}, given)
        except BaseException:
            session.close()
            raise
        finally:
            for descriptor in given:
                os.close(descriptor)
        outcome = session.run(b"", line, seconds=seconds, most_bytes=most, answers=answers is not None)
        limit = outcome.limit
        if limit:
            self.connection.send({"end": True})
        report = self._report()
        if not limit:
            limit = report.limit
        if not limit and self.group and report.code < 0 and self.group.memory_kills():
            limit = Termination.MEMORY
        ended = protocol.ended(
            report.code,
            limit=limit,
            seconds=time.monotonic() - began,
            errors=outcome.errors,
        )
        return ended, report.left


class PlainSandbox:
    """One submission's sandbox, implementing ``interface.Sandbox``."""

    def __init__(self, sandboxes: PlainSandboxes, client: SandboxClient, folder: PurePosixPath) -> None:
        self._sandboxes, self._client, self._folder = sandboxes, client, folder
        self._files: dict[str, bytes] = {}
        self._left = 0

    def put(self, files: Mapping[str, bytes]) -> None:
        self._files.update(files)
        self._client.put(files)

    def run_cells(self, request: bytes, line: Callable[[bytes], None], bounds: Limits) -> Ended:
        ended, self._left = self._client.run(
            "cells", request, line, bounds.seconds + GRACE_SECONDS, _most(bounds)
        )
        return ended

    def stop_learner(self, bounds: Limits) -> str:
        """Report the processes left by the cells; the kernel killed them when their pid namespace's first process ended."""
        if not self._left:
            return ""
        return "a process that still ran" if self._left == 1 else f"{self._left} processes that still ran"

    def run_tests(self, request: bytes, line: Callable[[bytes], bytes | None], seconds: float) -> Ended:
        return self._client.run("tests", request, line, seconds, 64 << 20)[0]

    def ask_program(self, request: bytes, bounds: Limits, files: Mapping[str, bytes] | None = None) -> Answer:
        lines: list[bytes] = []
        with self._sandboxes.start_sandbox(self._folder, bounds) as client:
            client.put(self._files if files is None else files)
            ended, _ = client.run(
                "cells", request, lines.append, bounds.seconds + GRACE_SECONDS, _most(bounds)
            )
        return protocol.answer(lines, ended)


def shown() -> list[Path]:
    """Return the folders of Python, its packages and this package that are not in /usr."""
    places = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_exec_prefix)]
    places += [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += [Path(os.path.realpath(sys.executable)).parent, Path(hpclab.__file__).resolve().parent]
    return sorted({place for place in places if not place.is_relative_to("/usr") and place.is_dir()})


def readable_by_others(folders: list[Path]) -> None:
    """Raise HostUnsuitable where a submission, which runs as another user, could not read Python's packages."""
    samples = [*folders, Path(hpclab.__file__), Path(msgspec.__file__)]
    for sample in samples:
        mode = sample.stat().st_mode
        if not mode & stat.S_IROTH or (sample.is_dir() and not mode & stat.S_IXOTH):
            raise HostUnsuitable(
                f"{sample} can be read by its owner alone, and untrusted programs run as another user",
                f"chmod -R go+rX {sample if sample.is_dir() else sample.parent}",
            )


def _most(bounds: Limits) -> int:
    """Return the most bytes to read: a byte can take six in JSON, and each cell adds a few more."""
    return bounds.output_mib * 6 * MIB + 8 * MIB


def _sender(end: socket.socket) -> int:
    """Return the process id, in this pid namespace, of the process that writes the first byte."""
    _, ancillary, _, _ = end.recvmsg(1, socket.CMSG_SPACE(CREDENTIALS.size))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(CREDENTIALS.unpack(data)[0])
    raise EOFError


def _grouped(pid: int, limits: IsolationLimits) -> Group | None:
    """Create a control group around the sandbox where possible: a hard limit besides the sandbox's own checks."""
    group = cgroup.plain_group()
    if group:
        try:
            group.limit(
                memory_mib=limits.memory_mib + 4 * limits.disk_mib + 2 * SLACK_MIB,
                tasks=limits.processes + 2 * THREADS,
            )
            group.add(pid)
        except OSError:
            group.remove()
            return None
    return group
