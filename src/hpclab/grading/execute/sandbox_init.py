"""One submission's own place: namespaces of its own, a home in memory; the cells run in it, then the tests.

a hut                    root of the namespaces; mounts, waits, never runs a stranger's line
  ├─ init, learner       first process of a pid namespace; watches the limits; when it ends, all end
  │    └─ runner         the learner: no capability, a filter, a user namespace of his own
  └─ init, grader        later, when the kernel has ended everything of the learner's
       └─ trusted        somebody else, who may read what the learner wrote, and nothing more
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NoReturn

import msgspec

from hpclab.grading.execute import processes
from hpclab.grading.execute.processes import HOME, PLACES, TOP, Plan, Report
from hpclab.sandbox import kernel, rootfs, usage
from hpclab.sandbox.protocol import Connection
from hpclab.sandbox.rootfs import Room
from hpclab.sandbox.termination import Termination


def live(wire: Connection, plan: Plan) -> NoReturn:
    """Be a hut, until the keeper closes the connection."""
    try:
        kernel.die_with_parent()
        _Hut(wire, plan).serve()
    except EOFError:
        os._exit(0)
    except BaseException:
        with contextlib.suppress(BaseException):
            wire.send({"trouble": traceback.format_exc(limit=-3)})
        os._exit(1)
    os._exit(0)


class _Hut:
    def __init__(self, wire: Connection, plan: Plan) -> None:
        self.wire, self.plan = wire, plan
        self.outer = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        # Asked for while this is still in the keeper's sight: it may put us into a control group.
        socket.send_fds(wire.socket, [b"!"], [])
        wire.receive()
        kernel.unshare(kernel.NEWNS | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS)
        socket.sethostname("sandbox")
        kernel.loopback_up()
        self._rooms()

    def _rooms(self) -> None:
        limits, owner = self.plan.limits, self.plan.learner
        with contextlib.suppress(OSError):  # pieces of shared memory that nobody has mapped are in no sum
            Path("/proc/sys/kernel/shmall").write_text(str(limits.memory_mib << 8))
        room = Room(mb=limits.disk_mib, inodes=limits.inodes)
        processes.fresh(room)
        home = Room(mb=limits.disk_mib, inodes=limits.inodes, mode=0o700, uid=owner, gid=owner)
        rootfs.tmpfs(Path(HOME), home)
        flags = kernel.NOSUID | kernel.NOEXEC
        kernel.mount("devpts", "/dev/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620,max=64")
        self._folder(PurePosixPath(TOP, self.plan.folder))

    def serve(self) -> None:
        ran = False
        self.wire.send({"ready": True})
        while True:
            message, descriptors = self.wire.receive()
            match message:
                case {"put": dict(files)} if not ran:  # later a link of the learner's could lead us elsewhere
                    for path, data in files.items():
                        self._put(path, data)
                    self.wire.send({"put": len(files)})
                case {"cells": bytes(request)}:
                    ran = True
                    ended = self._inside(
                        partial(processes.learner, self.plan, request, *descriptors), watched=True
                    )
                    if not ended.limit and usage.is_full([Path(HOME), *map(Path, PLACES)]):
                        ended = msgspec.structs.replace(ended, limit=Termination.DISK)
                    self._answer(ended, descriptors)
                case {"tests": bytes(request)}:
                    ended = self._inside(
                        partial(processes.grader, self.plan, request, *descriptors), watched=False
                    )
                    self._answer(ended, descriptors)
                case {"end": True}:
                    pass  # what it meant had just ended by itself
                case _:
                    raise ValueError(f"a hut does not understand {list(message)}")

    def _answer(self, ended: Report, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        self.wire.send({"ended": msgspec.to_builtins(ended)})

    # ---- files ----

    def _put(self, path: str, data: bytes) -> None:
        pure = PurePosixPath(TOP, path)
        if ".." in pure.parts or not pure.is_relative_to(TOP) or pure == PurePosixPath(TOP):
            raise ValueError(f"{path!r} leads out of the learner's folder")
        self._folder(pure.parent)
        descriptor = os.open(pure, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            os.fchown(descriptor, self.plan.learner, self.plan.learner)
            file.write(data)

    def _folder(self, folder: PurePosixPath) -> None:
        for one in [*reversed(folder.parents), folder]:
            if one.is_relative_to(TOP) and not Path(one).is_dir():
                Path(one).mkdir()
                os.chown(one, self.plan.learner, self.plan.learner)

    # ---- processes ----

    def _inside(self, work: Callable[[], int], *, watched: bool) -> Report:
        """Do ``work`` in a pid namespace of its own, and wait for its end, or for the keeper's word to end it."""
        kernel.setns(self.outer)  # else the new one would be inside the last one
        kernel.unshare(kernel.NEWPID)
        reader, writer = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(reader)
            processes.init(writer, self.plan.limits, work, watched=watched)
        os.close(writer)
        handle = os.pidfd_open(first)
        try:
            while handle not in select.select([handle, self.wire.fileno()], [], [])[0]:
                self.wire.receive()  # the keeper's only word now is that it must end
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [])
            code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
        except EOFError:
            os._exit(0)  # the keeper has gone; the kernel ends the rest
        finally:
            os.close(handle)
        with os.fdopen(reader, "rb") as report:
            text = report.read()
        if text:
            return msgspec.json.decode(text, type=Report)
        if code == processes.BROKEN:
            raise RuntimeError("the first process of a sandbox failed; the forkserver's messages say why")
        return Report(code=code)
