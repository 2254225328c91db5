"""Start the worker of a grading run on this machine; it ends with the command, and has none of root's rights.

    python -I -m hpclab.app.grading.local_worker CONFIG      CONFIG: a ``WorkerConfig`` as JSON

Started by an ordinary user, the worker runs as that user, and its sandboxes confine the submissions.

Started by root, the worker holds hidden tests and judges files of untrusted code, so it must not be root:

- a user namespace, in which it is root over sub-ids of sandboxes, and on the host an id that no account has;
- a mount namespace, in which homes, temporary folders and the course are empty, and only the spool is writable;
- namespaces for processes, network and IPC: it sees and reaches only its own sandboxes, and the kernel
  ends all of them with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from hpclab import locks
from hpclab.cluster import boot
from hpclab.errors import HpclabError
from hpclab.sandbox import ids, kernel

COVERED = ("/root", "/home", "/tmp", "/var/tmp", "/run")
# Root of a user namespace allocates sandbox ids from INSIDE on: this leaves ranges for as many sandboxes as a
# worker has at one time, and on the host no other worker has the same ids. The ids after them are the
# workers' accounts.
RANGES = 4
INSIDE, OUTSIDE, SLOTS = ids.root_ranges()[0].uid, ids.ROOT_END, 480
ACCOUNTS = (0x7FB00000, 1 << 20)
SLOT_LOCKS = Path("/run/hpclab-workers")


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The worker to start. ``account``: its user id on the host, None for the caller's own.

    ``shown`` are the folders that it needs. Below ``covered`` it sees only those, below ``hidden``
    nothing.
    """

    parent: int
    argv: tuple[str, ...]
    env: dict[str, str]
    account: int | None = None
    shown: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def account_of(uuid: str) -> int:
    """Return the user id on the host for the workers of a batch."""
    first, count = ACCOUNTS
    return first + int(uuid.replace("-", ""), 16) % count


def main(config: WorkerConfig) -> None:
    """Become the worker; under root, wait for it and exit with its status."""
    kernel.die_with_parent()
    if os.getppid() != config.parent:
        sys.exit("the command ended before its worker began")
    if config.account is None:
        os.execve(config.argv[0], config.argv, config.env)
    slot = allocate_slot()
    devices = boot.private_devices()
    kernel.unshare(kernel.NEWNS | kernel.NEWPID | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS)
    kernel.mount("none", "/", flags=kernel.PRIVATE | kernel.REC)
    for target, source in devices.items():
        kernel.bind(source, target)
    kernel.mount("shared memory", "/dev/shm", "tmpfs", kernel.NOSUID | kernel.NODEV, "size=64m,mode=1777")
    hide(config)
    os.chdir("/")
    unshared, mapped = os.pipe(), os.pipe()
    if (first := os.fork()) == 0:
        become_worker(config, unshared[1], mapped[0])
    os.close(unshared[1])
    if os.read(unshared[0], 1):
        for name in ("uid_map", "gid_map"):
            # /proc is that of the new pid namespace, whose first process is the worker.
            Path(f"/proc/1/{name}").write_text(id_map(config.account, slot))
        os.write(mapped[1], b"m")
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    sys.exit(status if status >= 0 else 128 - status)


def become_worker(config: WorkerConfig, unshared: int, mapped: int) -> None:
    """As the first process of the namespaces, give up root and exec the worker."""
    kernel.die_with_parent()
    kernel.mount("proc", "/proc", "proc", kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)
    kernel.loopback_up()
    kernel.unshare(kernel.NEWUSER)
    os.write(unshared, b"u")
    if not os.read(mapped, 1):
        os._exit(1)
    kernel.become(0, 0)
    kernel.die_with_parent()  # changing the user id clears it
    os.execve(config.argv[0], config.argv, config.env)


def allocate_slot() -> int:
    """Reserve the ids of this worker's sandboxes, for as long as this process and the worker live."""
    for slot in range(SLOTS):
        lock = locks.try_lock(SLOT_LOCKS / str(slot))
        if lock is not None:
            os.set_inheritable(lock, True)  # by the worker, which closes it in its children
            return slot
    sys.exit(f"{SLOTS} workers run on this machine, and there are no ids for the sandboxes of another one")


def id_map(account: int, slot: int) -> str:
    """Return the worker's id map: its root is ``account``; the ids of its sandboxes are those of ``slot``."""
    count = ids.ROOT_COUNT * RANGES
    return f"0 {account} 1\n{INSIDE} {OUTSIDE + slot * count} {count}\n"


def hide(config: WorkerConfig) -> None:
    """Mount empty folders over what the worker must not see, and bind the folders it needs there again."""
    needed = {Path(path): os.open(path, os.O_PATH | os.O_CLOEXEC) for path in config.shown}
    covered = [Path(path).resolve() for path in (*COVERED, *config.covered) if Path(path).is_dir()]
    covered = topmost([*covered, *closed_parents(needed)])
    for folder in covered:
        mode = "1777" if folder.name == "tmp" else "755"
        owner = f"uid={config.account},gid={config.account}"  # the worker's sandboxes put their locks in /run
        kernel.mount("hidden", folder, "tmpfs", kernel.NOSUID | kernel.NODEV, f"size=64m,mode={mode},{owner}")
    for path, handle in needed.items():
        if any(path.is_relative_to(folder) for folder in covered):
            path.mkdir(parents=True, exist_ok=True, mode=0o755)
            kernel.bind(f"/proc/self/fd/{handle}", path)
        os.close(handle)
    for folder in map(Path, config.hidden):
        if folder.is_dir():  # unless it is covered already
            kernel.mount("hidden", folder, "tmpfs", kernel.NOSUID | kernel.NODEV, "size=64k,mode=755")


def closed_parents(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the topmost parent of each of ``paths`` that other users can't traverse, if any."""
    for path in paths:
        for parent in reversed(path.parents):
            if not parent.stat().st_mode & 0o001:
                yield parent
                break


def topmost(folders: Iterable[Path]) -> list[Path]:
    """Return ``folders`` without those that lie below another one."""
    every = sorted(set(folders))
    return [path for path in every if not any(path.is_relative_to(top) for top in every if top != path)]


if __name__ == "__main__":
    try:
        main(msgspec.json.decode(sys.argv[1], type=WorkerConfig))
    except (OSError, HpclabError) as problem:
        sys.exit(f"no worker could be started: {problem}")
