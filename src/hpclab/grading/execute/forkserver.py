"""The forkserver: a process with all modules imported that forks plain sandboxes.

Its root directory shows only what sandboxes need of this machine.

``plain_sandbox`` starts it as ``python -I -m hpclab.grading.execute.forkserver``, with a connection as its
stdin. No untrusted code and no test ever runs in it, so every fork begins in the same state.

    client (the grading process)
      └─ forkserver, outside         holds the user namespace
           └─ forkserver, process 1  this one: when it ends, the kernel kills all below
                └─ sandbox init      of one submission: sandbox_init
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from hpclab.errors import HpclabError
from hpclab.grading.execute import processes, sandbox_init
from hpclab.grading.execute.ipython import make
from hpclab.sandbox import ids, kernel, rootfs, seccomp
from hpclab.sandbox.protocol import Connection

STAGE = Path("/tmp")  # where the new root directory is built, in a private mount namespace
# Modules that labs in plain Python often import; importing one in each sandbox would take half a second.
OFTEN = (
    "numpy",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "matplotlib_inline.backend_inline",
    "IPython.core.magics",
    "IPython.display",
    "stack_data",
    "multiprocessing.pool",
)
NAMESPACES = (
    kernel.NEWUSER
    | kernel.NEWNS
    | kernel.NEWPID
    | kernel.NEWNET
    | kernel.NEWIPC
    | kernel.NEWUTS
    | kernel.NEWCGROUP
)


class ForkserverConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of this process. ``shown``: the folders of Python and this package."""

    shown: list[str]
    etc: dict[str, str]
    owner: ids.Owner
    id_lock: int | None  # the lock of the id range, held until this process and its forks have ended


def main() -> None:
    connection = Connection(socket.socket(fileno=os.dup(0)))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    message, _ = connection.receive()
    config = msgspec.convert(message, ForkserverConfig)
    if config.id_lock is not None:
        os.set_inheritable(config.id_lock, False)
    kernel.die_with_parent()
    os.setsid()
    os.umask(0o022)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    imported()
    kernel.unshare(NAMESPACES)
    connection.send({"unshared": True})
    connection.receive()  # the maps are written
    # Opened with the rights of the user who grades, used as the sandbox's root.
    handles = {Path(path): kernel.handle(path) for path in config.shown}
    processes.SHOWN[:] = config.shown
    if config.owner != ids.Owner.SELF:
        kernel.become(ids.ROOT, ids.ROOT)
    kernel.die_with_parent()
    kernel.dumpable()
    first = os.fork()
    if first:
        connection.close()
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0x7F)
    kernel.die_with_parent()
    populate_rootfs(config, handles)
    serve(connection)


def imported() -> None:
    """Import the modules that sandboxes need, without this user's environment."""
    os.environ.clear()
    os.environ.update(processes.ENVIRONMENT, OPENBLAS_NUM_THREADS="1", HOME="/nonexistent")
    processes.SHELL.append(make())  # before matplotlib, which looks for it
    for name in OFTEN:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    processes.FILTER.append(seccomp.program())
    del os.environ["OPENBLAS_NUM_THREADS"]
    gc.collect()
    gc.freeze()  # forks share memory that is never written


def populate_rootfs(config: ForkserverConfig, handles: dict[Path, str]) -> None:
    """Build the root directory and move into it."""
    kernel.make_mounts_private()
    rootfs.assemble(STAGE, shown=handles, etc=config.etc, mounts={})
    for place in (processes.HOME, *processes.PLACES):
        (STAGE / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
    kernel.mount("proc", STAGE / "proc", "proc", kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)
    rootfs.make_read_only(STAGE)
    kernel.pivot_root(STAGE)
    for handle in handles.values():
        kernel.close_handle(handle)


def serve(connection: Connection) -> None:
    """Fork a sandbox for each request until the client closes the connection."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reap ended sandboxes and orphans automatically
    connection.send({"ready": True})
    while True:
        try:
            message, descriptors = connection.receive()
        except EOFError:
            os._exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection.close()
            connection = Connection(socket.socket(fileno=descriptors[0]))
            sandbox_init.run(connection, msgspec.convert(message, processes.SandboxConfig))
        for descriptor in descriptors:
            os.close(descriptor)


if __name__ == "__main__":
    try:
        main()
    except (OSError, EOFError, HpclabError) as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
