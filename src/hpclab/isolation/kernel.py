"""The system calls that Python 3.11 does not have: unshare, mount, pivot_root.

Used where a program such as mount(8) cannot be: between entering a user
namespace and becoming its root, an exec would lose all capabilities.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
from pathlib import Path

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID = 0x10000000, 0x20000000

RDONLY, NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
MOUNT_SETATTR, MOUNT_ATTR_RDONLY, AT_FDCWD, AT_RECURSIVE = 442, 1, -100, 0x8000
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}  # asm/unistd.h; libc has no wrapper

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(status: int, what: str) -> None:
    if status != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``flags`` for new ones (unshare(2))."""
    _checked(_libc.unshare(flags), f"unshare({flags:#x})")


def mount(source: str | Path, target: str | Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2); ``options`` are the filesystem's own, comma-separated."""
    _checked(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            options.encode(errors="surrogateescape") or None,
        ),
        f"mount {source} on {target}",
    )


def bind(source: str | Path, target: str | Path) -> None:
    """Show ``source``, with whatever is mounted below it, at ``target`` too."""
    mount(source, target, flags=BIND | REC)


def read_only(target: Path) -> None:
    """Make ``target``, and whatever is mounted below it, read-only (mount_setattr(2), Linux 5.12)."""
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    _checked(
        _libc.syscall(
            MOUNT_SETATTR, AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, len(attributes)
        ),
        f"read-only {target}",
    )


def die_with_parent() -> None:
    """Be killed when the parent ends; a change of user forgets it (prctl(2), PR_SET_PDEATHSIG)."""
    _checked(_libc.prctl(1, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def dumpable() -> None:
    """Let this process open its own /proc/self/fd again, which a change of user forbids (prctl(2))."""
    _checked(_libc.prctl(4, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def pivot_root(new: Path) -> None:
    """Make ``new`` (a mount) the root directory, and let go of the old one."""
    os.chdir(new)
    _checked(_libc.syscall(PIVOT_ROOT[platform.machine()], b".", b"."), f"pivot_root {new}")
    _checked(_libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")
