"""A seccomp filter with the system calls that programs in a sandbox must not make.

Namespaces and user ids confine untrusted code; the filter keeps it away from the parts of the kernel
that could let it escape, or that no namespace divides: keyrings, BPF, io_uring, vsock, the clock.
Refused calls fail as if permission were missing (EPERM), so programs report it and continue. Debuggers
work: a process may trace the processes of its own user.

``python -m hpclab.sandbox.seccomp [--containers] [--setuid] -- COMMAND`` runs a command under the filter, without
set-uid programs (no_new_privs) unless ``--setuid`` is given, which requires CAP_SYS_ADMIN. The rules are written
with libseccomp, the library of systemd and of every container runtime.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import signal
import sys
from collections.abc import Iterator

from hpclab.errors import HostUnsuitable, HpclabError

# New mounts and namespaces, which a lab that builds containers needs.
MOUNTS = """
    mount umount umount2 pivot_root move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr
"""
NAMESPACES = "unshare setns"
# Keyrings have no namespace; io_uring performs other calls' work unfiltered; fanotify and file handles open
# files regardless of directories.
OTHERS = """
    add_key request_key keyctl io_uring_setup io_uring_enter io_uring_register open_by_handle_at fanotify_init
    bpf perf_event_open userfaultfd lookup_dcookie init_module finit_module delete_module create_module
    kexec_load kexec_file_load reboot clock_settime clock_settime64 settimeofday stime syslog acct vhangup
    swapon swapoff quotactl quotactl_fd ioperm iopl modify_ldt uselib nfsservctl
"""
# Numbers of calls that an older libseccomp may not know; above 424 they are the same on every architecture.
NUMBERS = {"fspick": 433, "mount_setattr": 442, "quotactl_fd": 443, "open_tree_attr": 467}

# Socket families that stay: AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK, the last only for queries about
# interfaces.
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
FAMILIES, NETLINK_ROUTE = 64, 0
TERMINAL = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}  # these insert input into another user's terminal
ADDR_NO_RANDOMIZE = 18  # the bit of personality(2) that gdb sets; all others emulate old systems
ALL_BITS = (1 << 32) - 1
# CLONE_NEW… except NEWTIME, whose bit clone(2) reads as part of the signal.
CLONE_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)

# <seccomp.h>
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EQ, GT, NE, MASKED_EQ = 4, 6, 1, 7
BAD_ARCHITECTURE, OPTIMIZE = 2, 8
UNKNOWN_CALL = -1
# <linux/prctl.h>
SET_SECCOMP, FILTER, SET_NO_NEW_PRIVS = 22, 2, 38

Argument = tuple[int, int, int, int]  # argument number, comparison, value, second value
Rule = tuple[str, int, tuple[Argument, ...]]  # a call, the error it returns, the conditions


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


class _Program(ctypes.Structure):  # struct sock_fprog
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def rules(*, containers: bool) -> Iterator[Rule]:
    """Yield the refused calls. ``containers`` allows namespaces and mounts, for labs that build images."""
    for name in (OTHERS if containers else MOUNTS + NAMESPACES + OTHERS).split():
        yield name, errno.EPERM, ()
    if not containers:
        for flag in CLONE_FLAGS:
            yield "clone", errno.EPERM, ((0, MASKED_EQ, flag, flag),)
        # Its flags are in memory, which a filter can't read; libc then falls back to clone.
        yield "clone3", errno.ENOSYS, ()
    for family in range(FAMILIES):
        if family not in (UNIX, INET, INET6, NETLINK):
            yield "socket", errno.EAFNOSUPPORT, ((0, EQ, family, 0),)
    yield "socket", errno.EAFNOSUPPORT, ((0, GT, FAMILIES - 1, 0),)
    yield "socket", errno.EPROTONOSUPPORT, ((0, EQ, NETLINK, 0), (2, NE, NETLINK_ROUTE, 0))
    for number in TERMINAL.values():  # compare only 32 bits, as the kernel does
        yield "ioctl", errno.EPERM, ((1, MASKED_EQ, ALL_BITS, number),)
    yield from _personality()


def _personality() -> Iterator[Rule]:
    """Allow only 0, ADDR_NO_RANDOMIZE, and the query of the present value (all ones).

    A number that is neither all 0 nor all 1 has, read cyclically, a 1 before a 0 somewhere; one rule can compare
    an argument only once, so there is one rule for each such position.
    """
    bits = [bit for bit in range(32) if bit != ADDR_NO_RANDOMIZE]
    for one, zero in itertools.pairwise([*bits, bits[0]]):
        yield "personality", errno.EPERM, ((0, MASKED_EQ, 1 << one | 1 << zero, 1 << one),)
    yield "personality", errno.EPERM, ((0, MASKED_EQ, ALL_BITS, ALL_BITS & ~(1 << ADDR_NO_RANDOMIZE)),)


def program(*, containers: bool = False) -> bytes:
    """Return the filter as the kernel takes it, for this machine's native calls; foreign ABIs are refused."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        raise HostUnsuitable(
            "the library libseccomp.so.2 is not installed, and without it no untrusted program is run",
            "Ask an administrator: apt-get install libseccomp2 (Debian, Ubuntu), dnf install libseccomp (Red Hat).",
        ) from None
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))
    try:
        # Calls of i386 and x32 would bypass these rules.
        _checked(
            library.seccomp_attr_set(context, BAD_ARCHITECTURE, ctypes.c_uint32(ERRNO | errno.ENOSYS)),
            "other kinds of calls",
        )
        library.seccomp_attr_set(context, OPTIMIZE, ctypes.c_uint32(2))  # a binary tree; libseccomp 2.5
        for name, error, when in rules(containers=containers):
            call = library.seccomp_syscall_resolve_name(name.encode())
            if call == UNKNOWN_CALL and (call := NUMBERS.get(name, UNKNOWN_CALL)) == UNKNOWN_CALL:
                continue  # unknown on every architecture
            comparisons = (_Comparison * len(when))(*itertools.starmap(_Comparison, when))
            status = library.seccomp_rule_add_array(
                context, ctypes.c_uint32(ERRNO | error), call, len(when), comparisons
            )
            if status != -errno.EDOM:  # a call of other architectures, such as stime
                _checked(status, f"the rule for {name}")
        made = os.memfd_create("filter", os.MFD_CLOEXEC)
        try:
            _checked(library.seccomp_export_bpf(context, made), "the filter")
            return os.pread(made, os.fstat(made).st_size, 0)
        finally:
            os.close(made)
    finally:
        library.seccomp_release(context)


def _checked(status: int, what: str) -> None:
    if status < 0:
        raise OSError(-status, f"libseccomp, {what}: {os.strerror(-status)}")


def no_new_privileges() -> None:
    """Prevent set-uid programs from giving this process or its children other rights."""
    _prctl(SET_NO_NEW_PRIVS, 1, "no_new_privs")


def apply(instructions: bytes) -> None:
    """Put this process and its children under the filter permanently.

    The kernel requires no_new_privs first, or CAP_SYS_ADMIN in the process's user namespace.
    """
    block = _Program(len(instructions) // 8, instructions)
    _prctl(SET_SECCOMP, FILTER, "seccomp", ctypes.byref(block))


def _prctl(option: int, value: int, what: str, more: object = ctypes.c_ulong(0)) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), more, zero, zero) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def main(argv: list[str]) -> None:
    cut = argv.index("--") if "--" in argv else 0
    options, command = set(argv[:cut]), argv[cut + 1 :]
    if not command or options - {"--containers", "--setuid"}:
        sys.exit("usage: python -m hpclab.sandbox.seccomp [--containers] [--setuid] -- COMMAND")
    try:
        if "--setuid" not in options:
            no_new_privileges()
        apply(program(containers="--containers" in options))
    except (HpclabError, OSError) as problem:
        sys.exit(str(problem))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python had ignored
    try:
        os.execvp(command[0], command)
    except OSError as problem:
        sys.stderr.write(f"{command[0]}: {problem.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
