"""System calls that Python 3.11 does not have: unshare, setns, mount, pivot_root, capset.

Programs such as mount(8) can't replace them: between entering a user namespace and becoming its root, an exec
would lose all capabilities.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import signal
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 24, 28, 47, 2
SIOCSIFFLAGS = 0x8914
CAPABILITY_VERSION_3, CAP_DAC_READ_SEARCH = 0x20080522, 2
MOUNT_SETATTR, MOUNT_ATTR_RDONLY, AT_FDCWD, AT_RECURSIVE = 442, 1, -100, 0x8000
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}  # asm/unistd.h; libc has no wrapper

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(status: int, what: str) -> None:
    if status != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces given by ``flags`` (unshare(2))."""
    _checked(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(handle: int) -> None:
    """Enter the namespace of the descriptor ``handle`` (setns(2))."""
    _checked(_libc.setns(handle, 0), "setns")


def mount(source: str | Path, target: str | Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Call mount(2); ``options`` are the filesystem's own, comma-separated."""
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


def make_mounts_private() -> None:
    """Stop mount events from propagating between this mount namespace and others."""
    mount("none", "/", flags=PRIVATE | REC)


def handle(path: str | Path) -> str:
    """Return a path that can be mounted even when ``path`` itself is no longer accessible."""
    return f"/proc/self/fd/{os.open(path, os.O_PATH | os.O_CLOEXEC)}"


def close_handle(handle: str) -> None:
    os.close(int(handle.rpartition("/")[2]))


def bind(source: str | Path, target: str | Path) -> None:
    """Bind ``source`` and the mounts below it to ``target``."""
    mount(source, target, flags=BIND | REC)


def restrict(target: Path) -> None:
    """Make ``target`` and the mounts below it read-only, without set-uid programs or devices."""
    read_only(target, RDONLY | NOSUID | NODEV)


def read_only(target: Path, attributes_set: int = MOUNT_ATTR_RDONLY) -> None:
    """Make ``target`` and the mounts below it read-only (mount_setattr(2), Linux 5.12)."""
    attributes = struct.pack("QQQQ", attributes_set, 0, 0, 0)
    _checked(
        _libc.syscall(
            MOUNT_SETATTR, AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, len(attributes)
        ),
        f"read-only {target}",
    )


def die_with_parent() -> None:
    """Be killed when the parent ends; changing the user id clears this (prctl(2), PR_SET_PDEATHSIG)."""
    _checked(_libc.prctl(1, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def dumpable(*, yes: bool = True) -> None:
    """Let this process open its own /proc/self/fd again, which a change of user id forbids (prctl(2)).

    ``yes=False`` prevents other processes of the same user from reading or tracing it.
    """
    _checked(_libc.prctl(4, int(yes), 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def become(uid: int, gid: int, capabilities: Sequence[int] = ()) -> None:
    """Become this user with no other groups; keep ``capabilities``, even across exec (capabilities(7))."""
    if capabilities:
        # SECBIT_NO_SETUID_FIXUP: changing the user id keeps the capabilities, and access(2) considers them,
        # too.
        _checked(_libc.prctl(PR_SET_SECUREBITS, 1 << 2, 0, 0, 0), "prctl(PR_SET_SECUREBITS)")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if not capabilities:
        return
    wanted = sum(1 << number for number in capabilities)
    low, high = wanted & 0xFFFFFFFF, wanted >> 32
    header, sets = struct.pack("Ii", CAPABILITY_VERSION_3, 0), struct.pack("6I", *[low] * 3, *[high] * 3)
    _checked(_libc.capset(header, sets), "capset")
    for number in capabilities:
        _checked(_libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0), "prctl(PR_CAP_AMBIENT)")


def no_capabilities() -> None:
    """Drop all capabilities of this process and its children (capabilities(7))."""
    number = 0
    while number < 64 and _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1  # up to the last one that this kernel knows
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, struct.pack("6I", *[0] * 6)), "capset")


def loopback_up() -> None:
    """Bring up the loopback interface of this network namespace (netdevice(7))."""
    up_and_running = struct.pack("16sh14x", b"lo", 0x1 | 0x40)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:
        fcntl.ioctl(some, SIOCSIFFLAGS, up_and_running)


def pivot_root(new: Path) -> None:
    """Make ``new`` (a mount) the root directory, and unmount the old one."""
    os.chdir(new)
    _checked(_libc.syscall(PIVOT_ROOT[platform.machine()], b".", b"."), f"pivot_root {new}")
    _checked(_libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")
