"""The init process of one submission's sandbox: its own namespaces, a home in memory; the cells, then the tests.

sandbox init             root of the namespaces; mounts, waits, never runs untrusted code
  ├─ process 1, learner  first process of a pid namespace; enforces the limits; all others end with it
  │    └─ runner         the learner: no capabilities, a seccomp filter, its own user namespace
  └─ process 1, grader   later, when the kernel has ended all of the learner's processes
       └─ tests          another user, who can read the learner's files, and nothing else
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
from hpclab.grading.execute.processes import HOME, PLACES, TOP, Report, SandboxConfig
from hpclab.sandbox import kernel, rootfs, usage
from hpclab.sandbox.protocol import Connection
from hpclab.sandbox.rootfs import TmpfsMount
from hpclab.sandbox.termination import Termination


def run(connection: Connection, config: SandboxConfig) -> NoReturn:
    """Run as a sandbox's init process until the client closes the connection."""
    try:
        kernel.die_with_parent()
        _SandboxInit(connection, config).serve()
    except EOFError:
        os._exit(0)
    except BaseException:
        with contextlib.suppress(BaseException):
            connection.send({"trouble": traceback.format_exc(limit=-3)})
        os._exit(1)
    os._exit(0)


class _SandboxInit:
    def __init__(self, connection: Connection, config: SandboxConfig) -> None:
        self.connection, self.config = connection, config
        self.outer = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        # Sent while this process is still in the client's pid namespace, because the client may put it into a
        # control group.
        socket.send_fds(connection.socket, [b"!"], [])
        connection.receive()
        kernel.unshare(kernel.NEWNS | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS)
        socket.sethostname("sandbox")
        kernel.loopback_up()
        self._mount_folders()

    def _mount_folders(self) -> None:
        limits, owner = self.config.limits, self.config.learner
        with contextlib.suppress(OSError):  # unmapped shared memory is not counted elsewhere
            Path("/proc/sys/kernel/shmall").write_text(str(limits.memory_mib << 8))
        mount = TmpfsMount(size_mib=limits.disk_mib, inodes=limits.inodes)
        processes.mount_fresh(mount)
        home = TmpfsMount(size_mib=limits.disk_mib, inodes=limits.inodes, mode=0o700, uid=owner, gid=owner)
        rootfs.tmpfs(Path(HOME), home)
        flags = kernel.NOSUID | kernel.NOEXEC
        kernel.mount("devpts", "/dev/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620,max=64")
        self._folder(PurePosixPath(TOP, self.config.folder))

    def serve(self) -> None:
        ran = False
        self.connection.send({"ready": True})
        while True:
            message, descriptors = self.connection.receive()
            match message:
                # Only before the cells run: afterwards a symbolic link of the learner could redirect the
                # write.
                case {"put": dict(files)} if not ran:
                    for path, data in files.items():
                        self._put(path, data)
                    self.connection.send({"put": len(files)})
                case {"cells": bytes(request)}:
                    ran = True
                    ended = self._inside(
                        partial(processes.learner, self.config, request, *descriptors), watched=True
                    )
                    if not ended.limit and usage.is_full([Path(HOME), *map(Path, PLACES)]):
                        ended = msgspec.structs.replace(ended, limit=Termination.DISK)
                    self._answer(ended, descriptors)
                case {"tests": bytes(request)}:
                    ended = self._inside(
                        partial(processes.grader, self.config, request, *descriptors), watched=False
                    )
                    self._answer(ended, descriptors)
                case {"end": True}:
                    pass  # the process to end had just ended by itself
                case _:
                    raise ValueError(f"the sandbox init does not understand {list(message)}")

    def _answer(self, ended: Report, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        self.connection.send({"ended": msgspec.to_builtins(ended)})

    # ---- files ----

    def _put(self, path: str, data: bytes) -> None:
        pure = PurePosixPath(TOP, path)
        if ".." in pure.parts or not pure.is_relative_to(TOP) or pure == PurePosixPath(TOP):
            raise ValueError(f"{path!r} leads out of the learner's folder")
        self._folder(pure.parent)
        descriptor = os.open(pure, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            os.fchown(descriptor, self.config.learner, self.config.learner)
            file.write(data)

    def _folder(self, folder: PurePosixPath) -> None:
        for one in [*reversed(folder.parents), folder]:
            if one.is_relative_to(TOP) and not Path(one).is_dir():
                Path(one).mkdir()
                os.chown(one, self.config.learner, self.config.learner)

    # ---- processes ----

    def _inside(self, work: Callable[[], int], *, watched: bool) -> Report:
        """Run ``work`` in a new pid namespace; wait until it ends or the client ends it."""
        kernel.setns(self.outer)  # otherwise the new one would be nested in the last one
        kernel.unshare(kernel.NEWPID)
        reader, writer = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(reader)
            processes.init(writer, self.config.limits, work, watched=watched)
        os.close(writer)
        handle = os.pidfd_open(first)
        try:
            while handle not in select.select([handle, self.connection.fileno()], [], [])[0]:
                self.connection.receive()  # the client's only message now is to end it
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [])
            code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
        except EOFError:
            os._exit(0)  # the client has gone; the kernel ends the rest
        finally:
            os.close(handle)
        with os.fdopen(reader, "rb") as report:
            text = report.read()
        if text:
            return msgspec.json.decode(text, type=Report)
        if code == processes.BROKEN:
            raise RuntimeError("the first process of a sandbox failed; the forkserver's messages say why")
        return Report(code=code)
